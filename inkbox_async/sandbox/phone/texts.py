"""The operations on stored texts: list, get, search, mark as read, delete."""

from __future__ import annotations

from sqlite3 import Row

from inkbox_async.generated.models.phone import TextMessage, UpdateTextRequest
from inkbox_async.generated.queries.phone import TextsListQuery, TextsSearchQuery
from inkbox_async.sandbox.handling import Call, handles, invalid, not_found
from inkbox_async.sandbox.phone.periods import period
from inkbox_async.sandbox.phone.rows import number_of, search_words, show_text, visible_rows


@handles("texts.list")
def list_texts(call: Call) -> list[TextMessage]:
    """A number's texts, newest first."""
    query: TextsListQuery = call.query
    number = number_of(call)
    condition, values = visible_rows(call, "texts", query.is_blocked)
    times, moments = period(query, "created_at")
    rows = call.tx.all(
        f"SELECT * FROM texts WHERE phone_number_id = ? AND NOT is_deleted AND {condition} AND {times} "
        "AND (? IS NULL OR is_read = ?) ORDER BY seq DESC LIMIT ? OFFSET ?",
        number["id"],
        *values,
        *moments,
        query.is_read,
        query.is_read,
        query.limit,
        query.offset,
    )
    return [_show(call, row) for row in rows]


@handles("texts.get")
def get_text(call: Call) -> TextMessage:
    """One text."""
    return _show(call, _text_of(call))


@handles("texts.search")
def search(call: Call) -> list[TextMessage]:
    """The texts that hold every word of the query, or its beginning; newest first."""
    query: TextsSearchQuery = call.query
    number = number_of(call)
    words = search_words(query.q)
    if not words:
        return []
    condition, values = visible_rows(call, "t", query.is_blocked)
    rows = call.tx.all(
        "SELECT t.* FROM text_search JOIN texts AS t ON t.seq = text_search.rowid "
        f"WHERE text_search MATCH ? AND t.phone_number_id = ? AND NOT t.is_deleted AND {condition} "
        "ORDER BY t.seq DESC LIMIT ?",
        words,
        number["id"],
        *values,
        query.limit,
    )
    return [_show(call, row) for row in rows]


@handles("texts.update")
def update(call: Call) -> TextMessage:
    """Mark a text as read or unread, or hide it for good."""
    body: UpdateTextRequest = call.body
    row = _text_of(call)
    changes: dict[str, object] = {}
    if body.is_read is not None:
        changes["is_read"] = body.is_read
    if body.status is not None:
        if body.status != "deleted":
            raise invalid("Input should be 'deleted'", "body", "status", kind="enum")
        changes["is_deleted"] = True
    if any(row[name] != value for name, value in changes.items()):
        call.tx.update("texts", row["id"], updated_at=call.now, **changes)
    after = call.tx.one("SELECT * FROM texts WHERE id = ?", row["id"])
    assert after is not None
    return _show(call, after)


def _text_of(call: Call) -> Row:
    condition, values = visible_rows(call, "texts")
    row = call.tx.one(
        f"SELECT * FROM texts WHERE id = ? AND phone_number_id = ? AND NOT is_deleted AND {condition}",
        call.path["text_id"],
        number_of(call)["id"],
        *values,
    )
    if row is None:
        raise not_found("Text")
    return row


def _show(call: Call, row: Row) -> TextMessage:
    return show_text(call.tx, call.now, call.settings, row)
