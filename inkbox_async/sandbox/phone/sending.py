"""The operation that sends a text, and the gates that it has to pass."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from sqlite3 import Row

from inkbox_async.generated.models.phone import SendTextRequest, TextMessage
from inkbox_async.sandbox.clock import parse_timestamp, timestamp
from inkbox_async.sandbox.e164 import is_e164
from inkbox_async.sandbox.handling import Answer, ApiError, Call, handles, invalid, not_found
from inkbox_async.sandbox.idempotency import send_once
from inkbox_async.sandbox.phone import media
from inkbox_async.sandbox.phone.contact_rules import verdict_on
from inkbox_async.sandbox.phone.conversations import conversation_by_id, conversation_with
from inkbox_async.sandbox.phone.delivery import send
from inkbox_async.sandbox.phone.opt_ins import OPTED_OUT, consent_of, has_customer_campaign
from inkbox_async.sandbox.phone.rows import live_number_by_value, number_of, participants_of, show_text
from inkbox_async.sandbox.rules import OUTBOUND, recipient_blocked

MAX_RECIPIENTS = 8
MAX_LENGTH = 1600
WINDOW = timedelta(hours=24)

_NORTH_AMERICA = re.compile(r"\+1[2-9]\d{9}", re.ASCII)
_NOT_READY = {
    "pending": (
        "sender_sms_pending",
        "Carriers are still registering this number for texts.",
    ),
    "assignment_failed": (
        "sender_sms_assignment_failed",
        "Carriers refused to register this number for texts. Get another one.",
    ),
}


@handles("texts.send")
def send_text(call: Call) -> Answer:
    """Send a text to one person, to a group, or into a conversation."""
    number = number_of(call)
    try:
        answer = send_once(call, "phone_number", number["id"], "text.send", lambda: _send(call, number))
    except ApiError as error:
        error.headers |= _rate_headers(call, number)
        raise
    return replace(answer, headers={**answer.headers, **_rate_headers(call, number)})


def _send(call: Call, number: Row) -> tuple[str, TextMessage]:
    body: SendTextRequest = call.body
    conversation, recipients = _recipients(call, number, body)
    if not body.text and not body.media_urls:
        raise invalid("Give a text, media_urls or both", "body", "text")
    if len(body.text or "") > MAX_LENGTH:
        raise _refusal(422, "message_too_long", f"A text has at most {MAX_LENGTH} characters.")
    urls = body.media_urls or []
    media.check_urls(urls)
    _check_sender(number)
    for recipient in recipients:
        verdict = verdict_on(call.tx, number, recipient, OUTBOUND)
        if not verdict.is_allowed:
            raise recipient_blocked(recipient, verdict)
    for recipient in recipients:
        _check_consent(call, number, recipient)
    _check_rate(call, number)
    row = send(
        call.tx,
        call.now,
        number,
        conversation or conversation_with(call.tx, call.now, number, recipients),
        body.text or None,
        files=[media.awaited(url) for url in urls],
    )
    return row["id"], show_text(call.tx, call.now, call.settings, row)


def _recipients(call: Call, number: Row, body: SendTextRequest) -> tuple[Row | None, list[str]]:
    """The conversation that is written into, where it is known, and everybody else in it.

    Raises:
        ApiError: 404 for an unknown conversation; 422 for both or neither of `to` and `conversation_id`, for
            too many recipients, and for numbers that cannot be written to.
    """
    if (body.to is None) == (body.conversation_id is None):
        raise invalid("Give either to or conversation_id", "body", "to")
    if body.to is None:
        conversation = conversation_by_id(call.tx, number, body.conversation_id)
        if conversation is None:
            raise not_found("Conversation")
        return conversation, participants_of(conversation)
    given = [body.to] if isinstance(body.to, str) else list(dict.fromkeys(body.to))
    if not 1 <= len(given) <= MAX_RECIPIENTS:
        raise invalid(f"Give 1 to {MAX_RECIPIENTS} recipients", "body", "to", kind="too_long")
    for recipient in given:
        _check_recipient(number, recipient, is_group=len(given) > 1)
    return None, given


def _check_recipient(number: Row, recipient: str, *, is_group: bool) -> None:
    if not is_e164(recipient):
        message = f"{recipient!r} is not a phone number in E.164 form, such as +15550100400."
    elif recipient == number["number"]:
        message = "A number cannot write to itself."
    elif is_group and not _NORTH_AMERICA.fullmatch(recipient):
        message = f"Groups are for numbers of the US and Canada only: {recipient} is not one."
    else:
        return
    raise _refusal(422, "invalid_phone_number", message)


def _check_sender(number: Row) -> None:
    if number["type"] != "local":
        raise _refusal(409, "toll_free_sms_unsupported", "Toll-free numbers cannot send texts yet.")
    if (refusal := _NOT_READY.get(number["sms_status"])) is not None:
        raise _refusal(409, *refusal)


def _check_consent(call: Call, number: Row, recipient: str) -> None:
    """Who has not texted START is not written to; numbers of the same organization need not."""
    colleague = live_number_by_value(call.tx, recipient)
    if colleague is not None and colleague["organization_id"] == number["organization_id"]:
        return
    consent = consent_of(call.tx, number["organization_id"], recipient)
    if consent is None:
        message = f"{recipient} has not agreed to texts: have them text START to {number['number']}."
        raise _refusal(403, "recipient_not_opted_in", message)
    if consent["status"] == OPTED_OUT:
        message = f"{recipient} wants no more texts. Only their START can change that."
        raise _refusal(403, "recipient_opted_out", message)


def _check_rate(call: Call, number: Row) -> None:
    limit = _limit(call, number)
    if limit is not None and len(_recent_sends(call, number)) >= limit:
        message = f"This number has written to {limit} recipients in 24 hours."
        raise _refusal(429, "sender_rate_limited", message)


def _limit(call: Call, number: Row) -> int | None:
    """Recipients in 24 hours; a campaign of the organization's own lifts the limit."""
    if has_customer_campaign(call.tx, number["organization_id"]):
        return None
    return call.limits.text_sends_per_day


def _recent_sends(call: Call, number: Row) -> Sequence[Row]:
    """One row for each recipient written to in the last 24 hours, oldest first."""
    return call.tx.all(
        "SELECT t.created_at FROM texts AS t JOIN text_recipients AS r ON r.text_id = t.id "
        "WHERE t.phone_number_id = ? AND t.origin = 'user_initiated' AND t.created_at > ? ORDER BY t.seq",
        number["id"],
        timestamp(call.now - WINDOW),
    )


def _rate_headers(call: Call, number: Row) -> dict[str, str]:
    """What is left of the limit; `Retry-After` where nothing is."""
    limit = _limit(call, number)
    if limit is None:
        return {}
    recent = _recent_sends(call, number)
    # Room for one more is there once all but `limit - 1` sends are old enough.
    oldest = recent[max(0, len(recent) - limit)] if recent and limit else None
    reset = WINDOW if oldest is None else parse_timestamp(oldest["created_at"]) + WINDOW - call.now
    headers = {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(max(0, limit - len(recent))),
        "X-RateLimit-Reset": str(max(1, round(reset.total_seconds()))),
    }
    if len(recent) >= limit:
        headers["Retry-After"] = headers["X-RateLimit-Reset"]
    return headers


def _refusal(status: int, code: str, message: str) -> ApiError:
    return ApiError(status, {"error": code, "message": message})
