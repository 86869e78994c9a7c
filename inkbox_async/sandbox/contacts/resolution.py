"""Whose address or number something is: the contacts that events name."""

from __future__ import annotations

from inkbox_async.sandbox.mail.addresses import comparable
from inkbox_async.sandbox.store import Tx
from inkbox_async.sandbox.webhooks.matching import Match, finds_contacts

from .rows import seen_by, shown_name


@finds_contacts
def resolve_contacts(tx: Tx, organization_id: str, identity_id: str | None, address: str) -> list[Match]:
    """The contacts behind a mail address or a phone number, oldest first.

    Args:
        tx: The transaction.
        organization_id: The organization.
        identity_id: The identity that must be able to see them; None finds those that everybody sees.
        address: A mail address, in any case, or a number in E.164 form.

    Returns:
        `{"id", "name"}` of each.
    """
    condition, parameters = seen_by(identity_id)
    kind, value = ("email", comparable(address)) if "@" in address else ("phone", address)
    rows = tx.all(
        "SELECT c.* FROM contact_identifiers AS i JOIN contacts AS c ON c.id = i.contact_id "
        f"WHERE i.kind = ? AND i.value = ? AND c.organization_id = ? AND {condition} ORDER BY c.seq",
        kind,
        value,
        organization_id,
        *parameters,
    )
    return [{"id": row["id"], "name": shown_name(row)} for row in rows]
