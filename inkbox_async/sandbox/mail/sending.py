"""Sending one message: who may write to whom and how often, the bytes, the stored copy, and its dispatch."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from sqlite3 import Row

from inkbox_async.sandbox.clock import parse_timestamp, timestamp
from inkbox_async.sandbox.domains import require_verified
from inkbox_async.sandbox.handling import ApiError, Call, too_many
from inkbox_async.sandbox.mail import filters
from inkbox_async.sandbox.mail.addresses import comparable
from inkbox_async.sandbox.mail.archive import NewMessage, store
from inkbox_async.sandbox.mail.compose import Outgoing, render
from inkbox_async.sandbox.mail.delivery import dispatch, rules_of
from inkbox_async.sandbox.mail.mime import Attachment
from inkbox_async.sandbox.mail.references import new_message_id
from inkbox_async.sandbox.mail.signatures import append_html, sign
from inkbox_async.sandbox.mail.snippet import snippet
from inkbox_async.sandbox.rules import recipient_blocked

SEND_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Submission:
    """A checked message that a mailbox shall send."""

    to: Sequence[str]
    cc: Sequence[str]
    bcc: Sequence[str]
    subject: str
    body_text: str | None
    body_html: str | None
    attachments: Sequence[Attachment] = ()
    reply_to: str | None = None
    in_reply_to: str | None = None
    references: Sequence[str] = ()
    is_forward: bool = False
    is_blocked: bool = False
    """It answers blocked mail, and stays with it where only admins see it."""
    track_opens: bool = False


def submit(call: Call, mailbox: Row, submission: Submission) -> Row:
    """Send a message from a mailbox; returns the row of the stored copy.

    Raises:
        ApiError: 409 when the mailbox's domain is not verified any more, 403 for a recipient that contact
            rules block or that an unclaimed agent may not write to, 402 when the mailbox is full, 429 over
            the daily number of recipients.
    """
    require_verified(call.tx, mailbox["organization_id"], mailbox["domain"])
    recipients = [*submission.to, *submission.cc, *submission.bcc]
    is_unclaimed = _check_claim(call, mailbox, recipients)
    _check_rules(call, mailbox, recipients)
    body_text, body_html = sign(mailbox, submission.body_text, submission.body_html)
    if body_text is None and body_html is None:
        body_text = ""
    token = secrets.token_urlsafe(24) if submission.track_opens else None
    sender = _display_name(call, mailbox)
    message_id = new_message_id(mailbox["domain"])
    raw = render(
        Outgoing(
            message_id=message_id,
            date=call.now,
            from_address=mailbox["email_address"],
            from_display_name=sender,
            to=submission.to,
            cc=submission.cc,
            subject=submission.subject,
            body_text=body_text,
            body_html=_with_pixel(call, body_html, token),
            attachments=submission.attachments,
            reply_to=submission.reply_to,
            in_reply_to=submission.in_reply_to,
            references=submission.references,
        )
    )
    _check_storage(call, mailbox, len(raw))
    _count_send(call, mailbox, len(recipients), is_unclaimed=is_unclaimed)
    row = store(
        call.tx,
        call.now,
        mailbox["id"],
        NewMessage(
            message_id=message_id,
            from_address=mailbox["email_address"],
            from_display_name=sender,
            to=submission.to,
            cc=submission.cc,
            bcc=submission.bcc,
            reply_to=[submission.reply_to] if submission.reply_to else [],
            subject=submission.subject,
            body_text=body_text,
            body_html=body_html,
            snippet=snippet(submission.body_text, submission.body_html),
            direction="outbound",
            status="queued",
            raw=raw,
            in_reply_to=submission.in_reply_to,
            references=submission.references,
            attachments=submission.attachments,
            is_read=True,
            is_forward=submission.is_forward,
            is_blocked=submission.is_blocked,
            tracking_token=token,
        ),
    )
    dispatch(call.tx, call.now, mailbox, row, raw)
    return row


def _check_claim(call: Call, mailbox: Row, recipients: Sequence[str]) -> bool:
    """Whether the mailbox's agent waits for its human; then it may write to nobody else."""
    human: str | None = call.tx.value(
        "SELECT human_email FROM signups WHERE identity_id = ? AND claim_status = 'agent_unclaimed'",
        mailbox["identity_id"],
    )
    if human is None:
        return False
    for address in recipients:
        if comparable(address) != comparable(human):
            raise ApiError(
                403, f"Until its human has confirmed the sign-up, this agent may write to {human} only."
            )
    return True


def _check_rules(call: Call, mailbox: Row, recipients: Sequence[str]) -> None:
    """Refuse recipients whom the rules for outbound mail block.

    The documents filter what arrives; only newer servers know outbound rules. So a mode or a rule that was
    made for both directions leaves outbound mail alone, until outbound has been given a mode of its own.
    """
    rules = rules_of(call.tx, mailbox["id"])
    mode = mailbox["filter_mode_outbound"]
    if mode == mailbox["filter_mode_inbound"]:
        mode = filters.BLACKLIST
        rules = [rule for rule in rules if rule.direction == filters.OUTBOUND]
    for address in recipients:
        verdict = filters.verdict(address, mode, rules, filters.OUTBOUND)
        if not verdict.is_allowed:
            raise recipient_blocked(address, verdict)


def _check_storage(call: Call, mailbox: Row, size: int) -> None:
    limit = call.limits.mailbox_storage_bytes
    if limit is not None and mailbox["storage_used_bytes"] + size > limit:
        detail = {
            "error": "storage_limit_exceeded",
            "message": "The mailbox is full: delete messages, or raise the limit.",
            "upgrade_url": f"{call.settings.console_url}/billing",
            "limit_bytes": limit,
        }
        raise ApiError(402, detail)


def _count_send(call: Call, mailbox: Row, recipients: int, *, is_unclaimed: bool) -> None:
    """Note a send, unless it is one too many within `SEND_WINDOW`."""
    limits = call.limits
    limit = limits.unclaimed_mail_sends_per_day if is_unclaimed else limits.mail_sends_per_day
    if limit is not None:
        sends = call.tx.all(
            "SELECT sent_at, recipients FROM mail_sends WHERE mailbox_id = ? AND sent_at > ? "
            "ORDER BY sent_at",
            mailbox["id"],
            timestamp(call.now - SEND_WINDOW),
        )
        remaining = limit - sum(row["recipients"] for row in sends)
        excess = recipients - remaining
        if excess > 0:
            free_at = call.now + SEND_WINDOW
            for row in sends:
                excess -= row["recipients"]
                if excess <= 0:
                    free_at = parse_timestamp(row["sent_at"]) + SEND_WINDOW
                    break
            seconds = int((free_at - call.now).total_seconds()) + 1
            detail = {
                "error": "daily_send_limit_exceeded",
                "message": f"This mailbox may write to {limit} recipients in 24 hours. Try again later.",
                "limit": limit,
                "retry_after_seconds": seconds,
            }
            raise too_many(detail, seconds, limit, remaining)
    call.tx.insert("mail_sends", mailbox_id=mailbox["id"], recipients=recipients, sent_at=call.now)


def _display_name(call: Call, mailbox: Row) -> str | None:
    """The name in the From field: the identity's, on one line."""
    row = call.tx.one(
        "SELECT display_name, agent_handle FROM identities WHERE id = ?", mailbox["identity_id"]
    )
    if row is None:
        return None
    name = "".join(char if char.isprintable() else " " for char in row["display_name"] or row["agent_handle"])
    return " ".join(name.split()) or None


def _with_pixel(call: Call, page: str | None, token: str | None) -> str | None:
    """The HTML that travels: with the picture whose loading counts as an opening."""
    if page is None or token is None:
        return page
    source = f"{call.settings.base_url}/mail/opened/{token}.gif"
    return append_html(page, f'<img src="{source}" width="1" height="1" alt="">')
