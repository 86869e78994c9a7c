"""From rows to contacts and back, and which contacts a caller gets to see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from sqlite3 import Row
from typing import Any
from uuid import uuid4

from inkbox_async.generated.models.contacts import Contact, ContactAccess
from inkbox_async.sandbox.handling import Call, not_found
from inkbox_async.sandbox.mail.addresses import comparable, domain_of
from inkbox_async.sandbox.store import Tx

SCALARS = (
    "preferred_name",
    "name_prefix",
    "given_name",
    "middle_name",
    "family_name",
    "name_suffix",
    "company_name",
    "job_title",
    "birthday",
    "notes",
)
LISTS = ("emails", "phones", "websites", "dates", "addresses", "custom_fields")
_SEARCHED = ("preferred_name", "given_name", "family_name", "company_name", "job_title", "notes")

Values = Mapping[str, Any]  # Any: texts, None, and lists of JSON objects


def visible(call: Call) -> tuple[str, tuple[str, ...]]:
    """An SQL condition on contacts `c` that the caller may see, and its parameters."""
    alive = "c.organization_id = ? AND c.status <> 'deleted'"
    if call.caller.is_admin:
        return alive, (call.caller.organization_id,)
    condition, parameters = seen_by(call.caller.identity_id)
    return f"{alive} AND {condition}", (call.caller.organization_id, *parameters)


def seen_by(identity_id: str | None) -> tuple[str, tuple[str, ...]]:
    """An SQL condition on contacts `c` that an identity was granted; without one, that everybody was."""
    grant = "SELECT 1 FROM contact_access AS a WHERE a.contact_id = c.id AND "
    if identity_id is None:
        return f"EXISTS ({grant} a.identity_id IS NULL)", ()
    return f"EXISTS ({grant} (a.identity_id IS NULL OR a.identity_id = ?))", (identity_id,)


def contact_of(call: Call) -> Row:
    """The contact that the path names.

    Raises:
        ApiError: 404 when there is none that the caller may see.
    """
    condition, parameters = visible(call)
    row = call.tx.one(
        f"SELECT c.* FROM contacts AS c WHERE c.id = ? AND {condition}", call.path["contact_id"], *parameters
    )
    if row is None:
        raise not_found("Contact")
    return row


def grants_of(tx: Tx, contact_id: str) -> list[Row]:
    """The grants on a contact, oldest first."""
    return tx.all("SELECT * FROM contact_access WHERE contact_id = ? ORDER BY created_at, id", contact_id)


def add_grant(tx: Tx, now: datetime, contact_id: str, identity_id: str | None) -> Row:
    """Let an identity see a contact, or everybody."""
    grant_id = uuid4()
    tx.insert("contact_access", id=grant_id, contact_id=contact_id, identity_id=identity_id, created_at=now)
    row = tx.one("SELECT * FROM contact_access WHERE id = ?", grant_id)
    assert row is not None
    return row


def add_contact(call: Call, values: Values, *, source: str, viewers: list[str] | None) -> Contact:
    """Store a contact and return it.

    Args:
        call: The call that makes it.
        values: Its fields, checked.
        source: `manual` or `vcard`.
        viewers: Ids of the identities that may see it; None is everybody.
    """
    contact_id = str(uuid4())
    values = {**values, "preferred_name": values.get("preferred_name") or full_name(values)}
    call.tx.insert(
        "contacts",
        id=contact_id,
        organization_id=call.caller.organization_id,
        creation_source=source,
        created_by_identity_id=call.caller.identity_id,
        created_at=call.now,
        updated_at=call.now,
        **values,
        **_derived(values),
    )
    _index(call.tx, contact_id, values)
    for identity_id in [None] if viewers is None else viewers:
        add_grant(call.tx, call.now, contact_id, identity_id)
    return show_contact(call.tx, _by_id(call.tx, contact_id))


def change_contact(call: Call, row: Row, values: Values) -> Contact:
    """Change fields of a contact and return it; `values` are checked."""
    whole = {**read_values(row), **values}
    call.tx.update("contacts", row["id"], updated_at=call.now, **values, **_derived(whole))
    _index(call.tx, row["id"], whole)
    return show_contact(call.tx, _by_id(call.tx, row["id"]))


def delete_contact(call: Call, row: Row) -> None:
    """Delete a contact: it can no longer be found, and nobody has access."""
    call.tx.update("contacts", row["id"], status="deleted", updated_at=call.now)
    for table in ("contact_identifiers", "contact_access"):
        call.tx.execute(f"DELETE FROM {table} WHERE contact_id = ?", row["id"])


def read_values(row: Row) -> dict[str, Any]:  # Any: as in Values
    """The fields of a contact that can be written."""
    scalars = {name: row[name] for name in SCALARS}
    return scalars | {name: json.loads(row[name]) for name in LISTS}


def full_name(values: Values) -> str | None:
    """The name made of given and family name, else the company; None when there is none."""
    parts = [values.get("given_name"), values.get("family_name")]
    return " ".join(part.strip() for part in parts if part and part.strip()) or values.get("company_name")


def shown_name(row: Row) -> str | None:
    """The name under which a contact is shown."""
    return row["preferred_name"] or full_name(dict(row))


def show_contact(tx: Tx, row: Row) -> Contact:
    """A contact as answers carry it."""
    return Contact.model_validate(
        read_values(row)
        | {
            "id": row["id"],
            "organization_id": row["organization_id"],
            "access": [show_grant(grant) for grant in grants_of(tx, row["id"])],
            "status": row["status"],
            "created_at": row["created_at"],
            "updated_at": row["updated_at"],
            "creation_source": row["creation_source"],
            "preferred_name_source": row["creation_source"],
            "created_by_identity_id": row["created_by_identity_id"],
        }
    )


def show_grant(row: Row) -> ContactAccess:
    """A grant as answers carry it."""
    return ContactAccess(
        id=row["id"],
        contact_id=row["contact_id"],
        identity_id=row["identity_id"],
        created_at=row["created_at"],
    )


def _by_id(tx: Tx, contact_id: str) -> Row:
    row = tx.one("SELECT * FROM contacts WHERE id = ?", contact_id)
    assert row is not None
    return row


def _derived(values: Values) -> dict[str, str]:
    """Columns for searching and sorting."""
    searched = (values.get(name) for name in _SEARCHED)
    name = values.get("preferred_name") or full_name(values) or ""
    return {
        "search_text": "\n".join(text.casefold() for text in searched if text),
        "sort_name": name.casefold(),
    }


def _index(tx: Tx, contact_id: str, values: Values) -> None:
    """Note the addresses and numbers that a contact is found by."""
    tx.execute("DELETE FROM contact_identifiers WHERE contact_id = ?", contact_id)
    for email in values.get("emails") or ():
        value = comparable(email["value"])
        tx.insert(
            "contact_identifiers", contact_id=contact_id, kind="email", value=value, domain=domain_of(value)
        )
    for phone in values.get("phones") or ():
        tx.insert("contact_identifiers", contact_id=contact_id, kind="phone", value=phone["value_e164"])
