"""Mail from people outside, by SMTP or through the control API, and what awaits mail to them."""

from __future__ import annotations

import asyncio
import email.utils
from collections.abc import Sequence
from datetime import datetime

from inkbox_async.generated.models.sandbox import (
    SetWorldOutcomeRequest,
    WorldEmail,
    WorldEmailDelivery,
    WorldEmailResult,
    WorldOutcome,
)
from inkbox_async.generated.queries.sandbox import ControlSendEmailQuery
from inkbox_async.sandbox.controlling import ControlCall, controls
from inkbox_async.sandbox.e164 import check_number
from inkbox_async.sandbox.handling import ApiError, invalid
from inkbox_async.sandbox.mail.addresses import comparable, domain_of, normalise_address
from inkbox_async.sandbox.mail.compose import Outgoing, render
from inkbox_async.sandbox.mail.delivery import Delivery, deliver
from inkbox_async.sandbox.mail.mime import Attachment, parse
from inkbox_async.sandbox.mail.references import message_ids, new_message_id
from inkbox_async.sandbox.mail.words import from_base64
from inkbox_async.sandbox.outcomes import EVERYBODY, KINDS, Outcome, script_of, set_outcome
from inkbox_async.sandbox.parts import Parts

_SMALL = 64 * 1024  # larger messages are parsed off the event loop


async def receive(
    sandbox: Parts, raw: bytes, mail_from: str | None, recipients: Sequence[str]
) -> list[Delivery]:
    """Take in a message from outside.

    Args:
        sandbox: The sandbox.
        raw: The message.
        mail_from: Envelope sender; None or empty for none.
        recipients: Envelope recipients; those without a mailbox here are passed over.

    Returns:
        Where it arrived, mail that contact rules keep out included.
    """
    parsed = parse(raw) if len(raw) <= _SMALL else await asyncio.to_thread(parse, raw)
    return await sandbox.store.run(
        lambda tx: deliver(tx, sandbox.clock.now(), recipients, parsed, raw, mail_from or None)
    )


def compose_outsider_email(now: datetime, message: WorldEmail) -> tuple[bytes, str, list[str]]:
    """A message that somebody outside writes, with its envelope: (raw, sender, recipients).

    Raises:
        ApiError: 422 for what cannot be written.
    """
    name, sender = _named_address(message.from_, "from")
    to = [_named_address(text, "to", index)[1] for index, text in enumerate(message.to)]
    cc = [_named_address(text, "cc", index)[1] for index, text in enumerate(message.cc or ())]
    answered = message_ids(message.in_reply_to or "")
    if message.in_reply_to is not None and len(answered) != 1:
        raise invalid("Give one Message-ID, such as <id@example.com>", "body", "in_reply_to")
    outgoing = Outgoing(
        message_id=new_message_id(domain_of(sender)),
        date=now,
        from_address=sender,
        from_display_name=name or None,
        to=to,
        cc=cc,
        subject=message.subject,
        body_text=message.text,
        body_html=message.html,
        attachments=[
            Attachment(item.filename, item.content_type, _decode(item.content_base64, index))
            for index, item in enumerate(message.attachments or ())
        ],
        in_reply_to=answered[0] if answered else None,
        references=answered,
        headers=message.headers or {},
    )
    try:
        raw = render(outgoing)
    except ValueError as error:
        raise invalid(f"This cannot be written as a mail: {error}", "body") from None
    return raw, sender, [*to, *cc]


@controls("control.send_email")
async def send_email(call: ControlCall) -> WorldEmailResult:
    """Mail from somebody outside, as an object or as raw MIME."""
    raw, mail_from, recipients = await asyncio.to_thread(_message, call)
    deliveries = await receive(call.sandbox, raw, mail_from, recipients)
    if not deliveries:
        raise ApiError(404, "None of the recipients has a mailbox here.")
    return WorldEmailResult(
        deliveries=[
            WorldEmailDelivery(
                email_address=delivery.email_address,
                message_id=delivery.message_id,
                thread_id=delivery.thread_id,
                folder=delivery.folder,
            )
            for delivery in deliveries
        ]
    )


@controls("control.set_outcome")
async def settle_outcome(call: ControlCall) -> WorldOutcome:
    """Settle what awaits the next messages or calls to somebody."""
    body: SetWorldOutcomeRequest = call.body
    kinds = KINDS[str(body.channel)]
    if str(body.outcome) not in kinds:
        raise invalid(f"On this channel it is one of {', '.join(sorted(kinds))}", "body", "outcome")
    target = body.to.strip()
    if body.channel == "mail":
        target = comparable(target)
    elif target != EVERYBODY:
        check_number(target, "body", "to")
    outcome = Outcome(str(body.outcome), body.error_code, body.error_detail, script_of(body.script))
    await call.sandbox.store.run(
        lambda tx: set_outcome(tx, str(body.channel), target, outcome, times=body.times)
    )
    return WorldOutcome.model_validate(body.model_dump())


def _message(call: ControlCall) -> tuple[bytes, str | None, list[str]]:
    """The message of a request with its envelope: for raw MIME the query's, else the message's own."""
    if isinstance(call.body, WorldEmail):
        return compose_outsider_email(call.sandbox.clock.now(), call.body)
    query: ControlSendEmailQuery = call.query
    parsed = parse(call.content)
    given = [query.to] if isinstance(query.to, str) else query.to
    recipients = [*parsed.to, *parsed.cc] if given is None else given
    if not recipients:
        raise invalid("The message has no recipients: give them as ?to=", "query", "to")
    return call.content, parsed.from_address if query.from_ is None else query.from_, recipients


def _named_address(text: str, *location: str | int) -> tuple[str, str]:
    """(name, address) of `address` or `Name <address>`."""
    name, address = email.utils.parseaddr(text)
    try:
        normalise_address(address)
    except ValueError as error:
        raise invalid(str(error), "body", *location) from None
    return name, address


def _decode(encoded: str, index: int) -> bytes:
    try:
        return from_base64(encoded)
    except ValueError:
        location = ("body", "attachments", index, "content_base64")
        raise invalid("This is not standard base64", *location) from None
