"""The operations on calls: place, list, get, hang up, and what was said in them."""

from __future__ import annotations

from sqlite3 import Row
from uuid import UUID, uuid4

from inkbox_async.generated.models.phone import (
    CallMode,
    CallOrigin,
    HostedAgentAuthorityMode,
    OnVoicemail,
    PhoneCall,
    PhoneCallWithRateLimit,
    PhoneTranscript,
    PlaceCallRequest,
    RateLimitInfo,
    VoicemailDetection,
)
from inkbox_async.generated.queries.phone import CallsListForNumberQuery, CallsListQuery
from inkbox_async.sandbox import outbox
from inkbox_async.sandbox.clock import parse_timestamp, timestamp
from inkbox_async.sandbox.e164 import check_number
from inkbox_async.sandbox.handling import ApiError, Call, handles, invalid, not_found, too_many
from inkbox_async.sandbox.outcomes import Outcome, take_outcome
from inkbox_async.sandbox.phone.arrivals import TOPIC, ring_here
from inkbox_async.sandbox.phone.call_limits import WINDOW, rate_limit
from inkbox_async.sandbox.phone.contact_rules import verdict_on
from inkbox_async.sandbox.phone.periods import period
from inkbox_async.sandbox.phone.records import Plan
from inkbox_async.sandbox.phone.rows import (
    call_fields,
    live_number_by_value,
    number_of,
    show_call,
    show_transcript,
    visible_rows,
)
from inkbox_async.sandbox.rules import OUTBOUND, recipient_blocked
from inkbox_async.sandbox.visibility import identity_row
from inkbox_async.sandbox.webhooks.destinations import check_agent

_IMPLIED = {
    VoicemailDetection.ENABLED: OnVoicemail.HANG_UP,
    VoicemailDetection.DISABLED: OnVoicemail.IGNORE,
}


@handles("calls.place")
def place(call: Call) -> PhoneCallWithRateLimit:
    """Place a call."""
    body: PlaceCallRequest = call.body
    on_voicemail = _check_shape(body)
    _check_address(call, body.client_websocket_url)
    _named_identity(call, body.agent_identity_id)
    number = _caller_number(call, body)
    url = body.client_websocket_url or number["client_websocket_url"]
    if url is None:
        raise invalid(
            "Give a client_websocket_url: the number has none on file", "body", "client_websocket_url"
        )
    verdict = verdict_on(call.tx, number, body.to_number, OUTBOUND)
    if not verdict.is_allowed:
        raise recipient_blocked(body.to_number, verdict)
    _check_limits(call)
    row = _store(call, number, body.to_number, url, on_voicemail)
    return PhoneCallWithRateLimit(**call_fields(row), rate_limit=_rate_limit(call))


@handles("calls.list")
def list_calls(call: Call) -> list[PhoneCall]:
    """An identity's calls, newest first."""
    query: CallsListQuery = call.query
    identity_id = _named_identity(call, query.agent_identity_id) or call.caller.identity_id
    if identity_id is None:
        raise invalid("Name an identity", "query", "agent_identity_id", kind="missing")
    condition, values = visible_rows(call, "calls", query.is_blocked)
    times, moments = period(query, "created_at")
    rows = call.tx.all(
        f"SELECT * FROM calls WHERE identity_id = ? AND {condition} AND {times} "
        "ORDER BY seq DESC LIMIT ? OFFSET ?",
        identity_id,
        *values,
        *moments,
        query.limit,
        query.offset,
    )
    return [show_call(row) for row in rows]


@handles("calls.list_for_number")
def list_for_number(call: Call) -> list[PhoneCall]:
    """A number's calls, newest first."""
    query: CallsListForNumberQuery = call.query
    condition, values = visible_rows(call, "calls", query.is_blocked)
    rows = call.tx.all(
        f"SELECT * FROM calls WHERE phone_number_id = ? AND {condition} ORDER BY seq DESC LIMIT ? OFFSET ?",
        number_of(call)["id"],
        *values,
        query.limit,
        query.offset,
    )
    return [show_call(row) for row in rows]


@handles("calls.get")
def get_call(call: Call) -> PhoneCall:
    """One call."""
    return show_call(_call_of(call))


@handles("calls.get_for_number")
def get_for_number(call: Call) -> PhoneCall:
    """One call of a number."""
    return show_call(_call_of_number(call))


@handles("calls.hangup")
def hang_up(call: Call) -> PhoneCall:
    """Hang up a call; the carrier does it once this is stored."""
    row = _call_of(call)
    if row["ended_at"] is not None:
        raise ApiError(409, "This call has ended.")
    if row["status"] == "initiated":
        raise ApiError(409, "This call is not on the line yet. Try again in a moment.")
    call.tx.update("calls", row["id"], hangup_requested=True, updated_at=call.now)
    call.tx.notify(TOPIC)
    return show_call(_call_of(call))


@handles("calls.transcripts")
def list_transcripts(call: Call) -> list[PhoneTranscript]:
    """What was said in a call, in order."""
    return _transcripts(call, _call_of(call))


@handles("transcripts.list")
def list_transcripts_of_number(call: Call) -> list[PhoneTranscript]:
    """What was said in a call of a number, in order."""
    return _transcripts(call, _call_of_number(call))


def _named_identity(call: Call, identity_id: UUID | None) -> str | None:
    """Id of the identity that the caller names, if there is one and the caller may speak for it."""
    if identity_id is None:
        return None
    if not call.caller.may_touch(str(identity_id)):
        raise ApiError(403, "An agent's API key may name its own identity only.")
    found: str = identity_row(call, str(identity_id))["id"]
    return found


def _check_shape(body: PlaceCallRequest) -> str:
    """What is to happen on voicemail, if everything goes together.

    Raises:
        ApiError: 422 otherwise.
    """
    hosted = body.mode == CallMode.HOSTED_AGENT
    dedicated = body.origination == CallOrigin.DEDICATED_NUMBER
    detection = {
        VoicemailDetection.ENABLED: OnVoicemail.HANG_UP,
        VoicemailDetection.DISABLED: OnVoicemail.IGNORE,
    }
    implied = None if body.voicemail_detection is None else detection.get(body.voicemail_detection)
    for is_wrong, message, field in (
        (dedicated and body.from_number is None, "Give the number to call from", "from_number"),
        (not dedicated and body.from_number is not None, "Only dedicated_number has one", "from_number"),
        (hosted and not body.reason, "Tell the agent what to do in the call", "reason"),
        (not hosted and body.reason is not None, "Only hosted_agent has one", "reason"),
        (hosted and body.client_websocket_url is not None, "hosted_agent has none", "client_websocket_url"),
        (
            not hosted and body.hosted_agent_authority_mode == HostedAgentAuthorityMode.YOLO,
            "Only hosted_agent has one",
            "hosted_agent_authority_mode",
        ),
        (
            body.voicemail_message is not None and body.on_voicemail != OnVoicemail.LEAVE_MESSAGE,
            "Only on_voicemail: leave_message has one",
            "voicemail_message",
        ),
        (
            implied is not None and body.on_voicemail not in (None, implied),
            "voicemail_detection and on_voicemail contradict each other",
            "on_voicemail",
        ),
    ):
        if is_wrong:
            raise invalid(message, "body", field)
    check_number(body.to_number, "body", "to_number")
    return str(body.on_voicemail or implied or OnVoicemail.HANG_UP)


def _check_address(call: Call, url: str | None) -> None:
    if url is not None:
        try:
            check_agent(url, call.settings)
        except ValueError as error:
            raise invalid(str(error), "body", "client_websocket_url") from None


def _caller_number(call: Call, body: PlaceCallRequest) -> Row:
    """The number that is called from.

    Raises:
        ApiError: 403 when it is not the caller's, 400 when it is not active; 409 and 503 for what the sandbox
            does not have: other lines, and a voice agent of its own.
    """
    if body.origination != CallOrigin.DEDICATED_NUMBER:
        message = f"Nobody at {body.to_number} is connected with this identity by a line for calls."
        raise ApiError(409, {"error": "no_shared_connection", "message": message})
    number = call.tx.one(
        "SELECT * FROM phone_numbers WHERE number = ? AND organization_id = ?",
        body.from_number,
        call.caller.organization_id,
    )
    if number is None:
        raise ApiError(403, f"{body.from_number} is not a phone number of this organization.")
    if number["status"] != "active":
        raise ApiError(400, f"{body.from_number} is not active.")
    if not call.caller.may_touch(number["identity_id"]):
        raise ApiError(403, f"{body.from_number} belongs to another identity.")
    if body.to_number == number["number"]:
        raise invalid("A number cannot call itself", "body", "to_number")
    if body.mode == CallMode.HOSTED_AGENT:
        message = "The sandbox has no voice agent: place the call with mode client_websocket."
        raise ApiError(503, {"error": "hosted_agent_unavailable", "message": message})
    return number


def _rate_limit(call: Call) -> RateLimitInfo:
    return rate_limit(call.tx, call.now, call.caller.organization_id)


def _check_limits(call: Call) -> None:
    used = _rate_limit(call)
    for remaining, limit, what in (
        (used.calls_remaining, used.calls_limit, "calls"),
        (used.minutes_remaining, used.minutes_limit, "minutes of calls"),
    ):
        if remaining <= 0:
            oldest = call.tx.value(
                "SELECT min(created_at) FROM calls WHERE organization_id = ? AND direction = 'outbound' "
                "AND created_at > ?",
                call.caller.organization_id,
                timestamp(call.now - WINDOW),
            )
            wait = WINDOW if oldest is None else parse_timestamp(oldest) + WINDOW - call.now
            raise too_many(
                f"The organization has used its {limit} {what} of 24 hours.",
                round(wait.total_seconds()) + 1,
                limit,
            )


def _store(call: Call, number: Row, to: str, url: str, on_voicemail: str) -> Row:
    call_id = str(uuid4())
    colleague = live_number_by_value(call.tx, to)
    decided = take_outcome(call.tx, "call", to)
    if decided is None and colleague is not None:
        plan = ring_here(call.tx, call.now, colleague, number["number"], call_id)
    else:
        plan = _plan(decided or Outcome("answered"))
    call.tx.insert(
        "calls",
        id=call_id,
        organization_id=number["organization_id"],
        identity_id=number["identity_id"],
        phone_number_id=number["id"],
        local_number=number["number"],
        remote_number=to,
        direction="outbound",
        status="initiated",
        client_websocket_url=url,
        on_voicemail=on_voicemail,
        plan=plan,
        created_at=call.now,
        updated_at=call.now,
    )
    if colleague is None:
        outbox.put(
            call.tx,
            call.now,
            channel="call",
            sender=number["number"],
            recipients=[to],
            organization_id=number["organization_id"],
            resource_id=call_id,
        )
    call.tx.notify(TOPIC)
    row = call.tx.one("SELECT * FROM calls WHERE id = ?", call_id)
    assert row is not None
    return row


def _plan(decided: Outcome) -> Plan:
    """What somebody outside does with a call."""
    script = [dict(line) for line in decided.script]
    return {"outcome": decided.outcome, "script": script, "leaves": bool(script)}


def _call_of(call: Call) -> Row:
    condition, values = visible_rows(call, "calls")
    row = call.tx.one(
        f"SELECT * FROM calls WHERE id = ? AND organization_id = ? AND {condition}",
        call.path["call_id"],
        call.caller.organization_id,
        *values,
    )
    if row is None or not call.caller.may_touch(row["identity_id"]):
        raise not_found("Call")
    return row


def _call_of_number(call: Call) -> Row:
    number, row = number_of(call), _call_of(call)
    if row["phone_number_id"] != number["id"]:
        raise not_found("Call")
    return row


def _transcripts(call: Call, row: Row) -> list[PhoneTranscript]:
    rows = call.tx.all("SELECT * FROM call_transcripts WHERE call_id = ? ORDER BY seq", row["id"])
    return [show_transcript(said) for said in rows]
