"""Who agreed to get texts from an organization: the registry, and the words that change it."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row
from uuid import uuid4

from inkbox_async.generated.models.phone import SmsOptIn
from inkbox_async.generated.queries.phone import SmsOptInsListQuery
from inkbox_async.sandbox.e164 import check_number
from inkbox_async.sandbox.handling import ApiError, Call, handles, not_found
from inkbox_async.sandbox.store import Tx

OPTED_IN, OPTED_OUT = "opted_in", "opted_out"

_WORDS = {
    **dict.fromkeys(("START", "UNSTOP", "YES", "SUBSCRIBE"), OPTED_IN),
    **dict.fromkeys(("STOP", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"), OPTED_OUT),
}
_HELP = frozenset({"HELP", "INFO"})
_REPLIES = {
    OPTED_IN: "You are subscribed and will get texts from this number. Reply HELP for help, STOP to end.",
    OPTED_OUT: "You are unsubscribed and will get no more texts. Reply START to subscribe again.",
}
_HELP_REPLY = "This number belongs to an AI agent. Reply STOP to get no more texts, START to get them again."


def consent_in(text: str | None) -> str | None:
    """What a text means for consent, when it is one of the words for it: `opted_in`, `opted_out` or None."""
    return _WORDS.get((text or "").strip().upper())


def reply_to(text: str | None) -> str | None:
    """What the service answers to a text by itself; None for an ordinary one."""
    word = (text or "").strip().upper()
    return _HELP_REPLY if word in _HELP else _REPLIES.get(_WORDS.get(word, ""))


def consent_of(tx: Tx, organization_id: str, number: str) -> Row | None:
    """The row of one person, None when nothing is known."""
    return tx.one(
        "SELECT * FROM sms_opt_ins WHERE organization_id = ? AND receiver_number = ?", organization_id, number
    )


def record_consent(
    tx: Tx, now: datetime, organization_id: str, number: str, status: str, *, source: str
) -> Row:
    """Note that somebody agreed or declined, by text (`sms`) or through the API (`api`)."""
    times = {
        "opted_in_at": now if status == OPTED_IN else None,
        "opted_out_at": now if status == OPTED_OUT else None,
    }
    known = consent_of(tx, organization_id, number)
    if known is None:
        tx.insert(
            "sms_opt_ins",
            id=uuid4(),
            organization_id=organization_id,
            receiver_number=number,
            status=status,
            source=source,
            created_at=now,
            updated_at=now,
            **times,
        )
    elif known["status"] != status:
        tx.update("sms_opt_ins", known["id"], status=status, source=source, updated_at=now, **times)
    row = consent_of(tx, organization_id, number)
    assert row is not None
    return row


def has_customer_campaign(tx: Tx, organization_id: str) -> bool:
    """Whether an organization has an active 10DLC campaign of its own."""
    return bool(tx.value("SELECT customer_campaign FROM organizations WHERE id = ?", organization_id))


@handles("sms_opt_ins.list")
def list_opt_ins(call: Call) -> list[SmsOptIn]:
    """The organization's rows, the latest change first."""
    query: SmsOptInsListQuery = call.query
    rows = call.tx.all(
        "SELECT * FROM sms_opt_ins WHERE organization_id = ? AND (? IS NULL OR status = ?) "
        "ORDER BY updated_at DESC, id LIMIT ? OFFSET ?",
        call.caller.organization_id,
        query.status,
        query.status,
        query.limit,
        query.offset,
    )
    return [_show(row) for row in rows]


@handles("sms_opt_ins.get")
def get_opt_in(call: Call) -> SmsOptIn:
    """One person's row."""
    row = consent_of(call.tx, call.caller.organization_id, _receiver(call))
    if row is None:
        raise not_found("SMS opt-in")
    return _show(row)


@handles("sms_opt_ins.opt_in")
def opt_in(call: Call) -> SmsOptIn:
    """Note that somebody agreed."""
    return _write(call, OPTED_IN)


@handles("sms_opt_ins.opt_out")
def opt_out(call: Call) -> SmsOptIn:
    """Note that somebody declined."""
    return _write(call, OPTED_OUT)


def _write(call: Call, status: str) -> SmsOptIn:
    number = _receiver(call)
    if not has_customer_campaign(call.tx, call.caller.organization_id):
        message = (
            "Consent is shared on the default campaign: people change it by texting START or STOP. "
            "Writing it needs an active 10DLC campaign of the organization's own."
        )
        raise ApiError(409, {"error": "customer_campaign_required", "message": message})
    row = record_consent(call.tx, call.now, call.caller.organization_id, number, status, source="api")
    call.tx.insert(
        "sms_opt_in_audit",
        opt_in_id=row["id"],
        key_id=call.caller.key_id,
        status=status,
        created_at=call.now,
    )
    return _show(row)


def _receiver(call: Call) -> str:
    return check_number(call.path["receiver_number"], "path", "receiver_number")


def _show(row: Row) -> SmsOptIn:
    return SmsOptIn(**dict(row))
