"""The address book: list, find, read, write and delete contacts."""

from __future__ import annotations

import re
from uuid import UUID

from inkbox_async.generated.models.contacts import Contact, CreateContactRequest, UpdateContactRequest
from inkbox_async.generated.queries.contacts import ContactsListQuery, ContactsLookupQuery
from inkbox_async.sandbox.handling import Call, handles, invalid, not_found
from inkbox_async.sandbox.lifecycle import when_identity_is_deleted
from inkbox_async.sandbox.mail.addresses import comparable

from .checks import check_name, given_values
from .rows import (
    add_contact,
    change_contact,
    contact_of,
    delete_contact,
    read_values,
    show_contact,
    visible,
)

_ORDERS = {"name": "c.sort_name, c.seq", "recent": "c.seq DESC"}


@handles("contacts.list")
def list_contacts(call: Call) -> list[Contact]:
    """One page of the contacts that the caller may see."""
    query: ContactsListQuery = call.query
    condition, parameters = visible(call)
    rows = call.tx.all(
        f"SELECT c.* FROM contacts AS c WHERE {condition} AND instr(c.search_text, ?) > 0 "
        f"ORDER BY {_ORDERS[query.order]} LIMIT ? OFFSET ?",
        *parameters,
        (query.q or "").casefold(),
        query.limit,
        query.offset,
    )
    return [show_contact(call.tx, row) for row in rows]


@handles("contacts.lookup")
def look_up(call: Call) -> list[Contact]:
    """The contacts that an address or number belongs to, by name."""
    query: ContactsLookupQuery = call.query
    filters = [(name, value) for name, value in query.model_dump().items() if value is not None]
    if len(filters) != 1:
        raise invalid("Give exactly one filter", "query")
    matches, value = _filter(*filters[0])
    condition, parameters = visible(call)
    rows = call.tx.all(
        f"SELECT c.* FROM contacts AS c WHERE {condition} AND c.id IN "
        f"(SELECT i.contact_id FROM contact_identifiers AS i WHERE {matches}) ORDER BY {_ORDERS['name']}",
        *parameters,
        value,
    )
    return [show_contact(call.tx, row) for row in rows]


def _filter(name: str, value: str) -> tuple[str, str]:
    """An SQL condition on identifiers `i`, and its one parameter."""
    match name:
        case "email":
            return "i.kind = 'email' AND i.value = ?", comparable(value)
        case "email_contains":
            return "i.kind = 'email' AND instr(i.value, ?) > 0", value.strip().lower()
        case "email_domain":
            return "i.kind = 'email' AND i.domain = ?", comparable(f"x@{value.strip()}").partition("@")[2]
        case "phone":
            return "i.kind = 'phone' AND i.value = ?", value.strip()
        case _:
            digits = re.sub(r"[^0-9]", "", value)
            if not digits:
                raise invalid("Give at least one digit", "query", name)
            return "i.kind = 'phone' AND instr(i.value, ?) > 0", digits


@handles("contacts.get")
def get_contact(call: Call) -> Contact:
    """One contact."""
    return show_contact(call.tx, contact_of(call))


@handles("contacts.create")
def create(call: Call) -> Contact:
    """Create a contact and let identities see it."""
    body: CreateContactRequest = call.body
    values = given_values(body)
    check_name(values)
    return add_contact(call, values, source="manual", viewers=_viewers(call, body.access_identity_ids))


@handles("contacts.update")
def update(call: Call) -> Contact:
    """Change what a merge patch names."""
    row = contact_of(call)
    body: UpdateContactRequest = call.body
    values = given_values(body)
    if not values:
        return show_contact(call.tx, row)
    check_name(read_values(row) | values)
    return change_contact(call, row, values)


@handles("contacts.delete")
def delete(call: Call) -> None:
    """Delete a contact."""
    delete_contact(call, contact_of(call))


@when_identity_is_deleted
def forget_identity(call: Call, identity_id: str) -> None:
    """An identity that is gone sees no contact any more."""
    call.tx.execute("DELETE FROM contact_access WHERE identity_id = ?", identity_id)


def _viewers(call: Call, identity_ids: list[UUID] | None) -> list[str] | None:
    """The identities that may see a new contact, each once; None is everybody.

    Raises:
        ApiError: 404 when one of them is not a live identity of the organization.
    """
    if identity_ids is None:
        return None
    wanted = list(dict.fromkeys(map(str, identity_ids)))
    found = call.tx.value(
        "SELECT count(*) FROM identities WHERE organization_id = ? AND status <> 'deleted' "
        "AND id IN (SELECT value FROM json_each(?))",
        call.caller.organization_id,
        wanted,
    )
    if found != len(wanted):
        raise not_found("Identity")
    return wanted
