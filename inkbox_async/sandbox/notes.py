"""Notes: free-form texts of the organization, and which identities may see them."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row
from uuid import uuid4

from inkbox_async.generated.models.notes import (
    CreateNoteRequest,
    GrantNoteAccessRequest,
    Note,
    NoteAccess,
    UpdateNoteRequest,
)
from inkbox_async.generated.queries.notes import NotesListQuery

from .handling import ApiError, Call, handles, invalid, not_found
from .lifecycle import when_identity_is_deleted
from .store import Tx
from .visibility import identity_row

_GRANTED = "EXISTS (SELECT 1 FROM note_access AS a WHERE a.note_id = n.id AND a.identity_id = ?)"
_ORDERS = {"recent": "n.updated_at DESC, n.seq DESC", "created": "n.seq DESC"}


@handles("notes.list")
def list_notes(call: Call) -> list[Note]:
    """One page of the notes that the caller may see."""
    query: NotesListQuery = call.query
    condition, parameters = _visible(call)
    if query.identity_id is not None:
        condition, parameters = f"{condition} AND {_GRANTED}", (*parameters, str(query.identity_id))
    rows = call.tx.all(
        f"SELECT n.* FROM notes AS n WHERE {condition} AND instr(n.search_text, ?) > 0 "
        f"ORDER BY {_ORDERS[query.order]} LIMIT ? OFFSET ?",
        *parameters,
        (query.q or "").casefold(),
        query.limit,
        query.offset,
    )
    return [_show(call.tx, row) for row in rows]


@handles("notes.get")
def get_note(call: Call) -> Note:
    """One note."""
    return _show(call.tx, _note_of(call))


@handles("notes.create")
def create(call: Call) -> Note:
    """Write a note; an agent gets to see what it writes."""
    body: CreateNoteRequest = call.body
    note_id = uuid4()
    author = call.caller.identity_id
    call.tx.insert(
        "notes",
        id=note_id,
        organization_id=call.caller.organization_id,
        created_by=author
        or call.tx.value("SELECT user_id FROM organizations WHERE id = ?", call.caller.organization_id),
        title=body.title,
        body=body.body,
        search_text=_search_text(body.title, body.body),
        created_at=call.now,
        updated_at=call.now,
    )
    if author is not None:
        _grant(call.tx, call.now, str(note_id), author)
    row = call.tx.one("SELECT * FROM notes WHERE id = ?", note_id)
    assert row is not None
    return _show(call.tx, row)


@handles("notes.update")
def update(call: Call) -> Note:
    """Change title or text."""
    row = _note_of(call)
    body: UpdateNoteRequest = call.body
    given = body.model_fields_set
    if "body" in given and body.body is None:
        raise invalid("A note cannot be without a text", "body", "body", kind="string_type")
    if given:
        title = body.title if "title" in given else row["title"]
        text = row["body"] if body.body is None else body.body
        call.tx.update(
            "notes",
            row["id"],
            title=title,
            body=text,
            search_text=_search_text(title, text),
            updated_at=call.now,
        )
    return _show(call.tx, _note_of(call))


@handles("notes.delete")
def delete(call: Call) -> None:
    """Delete a note and the grants on it."""
    note_id = _note_of(call)["id"]
    call.tx.update("notes", note_id, status="deleted", updated_at=call.now)
    call.tx.execute("DELETE FROM note_access WHERE note_id = ?", note_id)


@handles("notes.access.list")
def list_access(call: Call) -> list[NoteAccess]:
    """The grants on a note, oldest first."""
    return _grants(call.tx, _note_of(call)["id"])


@handles("notes.access.grant")
def grant(call: Call) -> NoteAccess:
    """Let an identity see a note."""
    body: GrantNoteAccessRequest = call.body
    note_id = _note_of(call)["id"]
    identity_id = identity_row(call, str(body.identity_id))["id"]
    if any(str(row.identity_id) == identity_id for row in _grants(call.tx, note_id)):
        raise ApiError(409, "Access is granted to this identity already.")
    return _grant(call.tx, call.now, note_id, identity_id)


@handles("notes.access.revoke")
def revoke(call: Call) -> None:
    """No longer let an identity see a note."""
    note_id, identity_id = _note_of(call)["id"], call.path["identity_id"]
    if not call.caller.may_touch(identity_id):
        raise ApiError(403, "An agent's API key may only give up the access of its own identity.")
    revoked = call.tx.execute(
        "DELETE FROM note_access WHERE note_id = ? AND identity_id = ?", note_id, identity_id
    )
    if revoked.rowcount == 0:
        raise not_found("Access")


@when_identity_is_deleted
def forget_identity(call: Call, identity_id: str) -> None:
    """An identity that is gone sees no note any more."""
    call.tx.execute("DELETE FROM note_access WHERE identity_id = ?", identity_id)


def _visible(call: Call) -> tuple[str, tuple[str, ...]]:
    """An SQL condition on notes `n` that the caller may see, and its parameters."""
    alive = "n.organization_id = ? AND n.status <> 'deleted'"
    if call.caller.is_admin:
        return alive, (call.caller.organization_id,)
    return f"{alive} AND {_GRANTED}", (call.caller.organization_id, call.caller.identity_id or "")


def _note_of(call: Call) -> Row:
    condition, parameters = _visible(call)
    row = call.tx.one(
        f"SELECT n.* FROM notes AS n WHERE n.id = ? AND {condition}", call.path["note_id"], *parameters
    )
    if row is None:
        raise not_found("Note")
    return row


def _search_text(title: str | None, body: str) -> str:
    return f"{title or ''}\n{body}".casefold()


def _grants(tx: Tx, note_id: str) -> list[NoteAccess]:
    rows = tx.all("SELECT * FROM note_access WHERE note_id = ? ORDER BY created_at, id", note_id)
    return [NoteAccess.model_validate(dict(row)) for row in rows]


def _grant(tx: Tx, now: datetime, note_id: str, identity_id: str) -> NoteAccess:
    grant_id = uuid4()
    tx.insert("note_access", id=grant_id, note_id=note_id, identity_id=identity_id, created_at=now)
    return NoteAccess(id=grant_id, note_id=note_id, identity_id=identity_id, created_at=now)


def _show(tx: Tx, row: Row) -> Note:
    return Note(
        id=row["id"],
        organization_id=row["organization_id"],
        created_by=row["created_by"],
        title=row["title"],
        body=row["body"],
        status=row["status"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        access=_grants(tx, row["id"]),
    )
