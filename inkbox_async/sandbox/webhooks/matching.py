"""Who is at the other end: contacts and agents behind addresses and numbers, as payloads tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from inkbox_async.sandbox.mail.addresses import comparable
from inkbox_async.sandbox.store import Tx

Match: TypeAlias = dict[str, Any]  # Any: JSON values of every type
ContactFinder: TypeAlias = Callable[[Tx, str, str | None, str], list[Match]]
"""`(tx, organization_id, identity_id, address)` to `[{"id", "name"}]`, contacts that the identity may see."""

_finders: list[ContactFinder] = []


def finds_contacts(finder: ContactFinder) -> ContactFinder:
    """Make a function the one that finds contacts by mail address or phone number."""
    _finders.append(finder)
    return finder


def match_party(
    tx: Tx, organization_id: str, identity_id: str | None, address: str | None
) -> tuple[list[Match], list[Match]]:
    """Contacts and agents behind the other party of a text, an iMessage or a call.

    Args:
        tx: The transaction.
        organization_id: The organization.
        identity_id: The identity whose contacts count.
        address: Number or address of the other party; None when there is none to name.
    """
    if address is None:
        return [], []
    contacts = [match for find in _finders for match in find(tx, organization_id, identity_id, address)]
    return contacts, _agents(tx, organization_id, address)


def match_mail(
    tx: Tx, organization_id: str, identity_id: str | None, buckets: Iterable[tuple[str, Iterable[str]]]
) -> tuple[list[Match], list[Match]]:
    """Contacts and agents behind the addresses of a message, with `bucket` and `address`, in their order.

    Args:
        tx: The transaction.
        organization_id: The organization.
        identity_id: The identity whose contacts count.
        buckets: Lists of addresses by name: `from` and `cc` of mail that arrived, `to`, `cc` and `bcc` of
            mail that was sent.
    """
    contacts: list[Match] = []
    agents: list[Match] = []
    for bucket, addresses in buckets:
        for address in addresses:
            place = {"bucket": bucket, "address": address}
            found = match_party(tx, organization_id, identity_id, address)
            contacts += [place | match for match in found[0]]
            agents += [place | match for match in found[1]]
    return contacts, agents


def _agents(tx: Tx, organization_id: str, address: str) -> list[Match]:
    rows = tx.all(
        "SELECT i.id, i.agent_handle, i.display_name FROM identities AS i WHERE i.organization_id = ? "
        "AND i.status <> 'deleted' AND (EXISTS (SELECT 1 FROM mailboxes AS b WHERE b.identity_id = i.id "
        "AND b.email_address = ? AND b.status <> 'deleted') OR EXISTS (SELECT 1 FROM phone_numbers AS n "
        "WHERE n.identity_id = i.id AND n.number = ? AND n.status <> 'released'))",
        organization_id,
        comparable(address),
        address,
    )
    return [dict(row) for row in rows]
