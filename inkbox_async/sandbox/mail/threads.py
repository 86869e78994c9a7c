"""The operations on threads: list, folders, get, file under another folder, delete."""

from __future__ import annotations

from inkbox_async.generated.models.mail import (
    Thread,
    ThreadDetail,
    ThreadFolder,
    ThreadPage,
    UpdateThreadRequest,
)
from inkbox_async.generated.queries.mail import ThreadsListQuery
from inkbox_async.sandbox.handling import Call, handles, invalid
from inkbox_async.sandbox.mail.archive import delete_thread
from inkbox_async.sandbox.mail.cursors import decode_cursor, encode_cursor
from inkbox_async.sandbox.mail.rows import (
    BLOCKED,
    LISTED,
    mailbox_of,
    show_message,
    show_thread,
    thread_fields,
    thread_of,
    visible_folders,
)


@handles("threads.list")
def list_threads(call: Call) -> ThreadPage:
    """A page of a mailbox's threads, the one with the newest message first."""
    query: ThreadsListQuery = call.query
    conditions = ["mailbox_id = ?", visible_folders(call)]
    values: list[object] = [mailbox_of(call)["id"]]
    if query.folder is not None:
        conditions.append("folder = ?")
        values.append(query.folder)
    if query.cursor is not None:
        conditions.append("(last_message_at, id) < (?, ?)")
        values.extend(decode_cursor(query.cursor))
    rows = call.tx.all(
        f"SELECT * FROM mail_threads WHERE {' AND '.join(conditions)} "
        "ORDER BY last_message_at DESC, id DESC LIMIT ?",
        *values,
        query.limit + 1,
    )
    page, has_more = rows[: query.limit], len(rows) > query.limit
    return ThreadPage(
        items=[show_thread(row) for row in page],
        next_cursor=encode_cursor(page[-1]["last_message_at"], page[-1]["id"]) if has_more else None,
        has_more=has_more,
    )


@handles("threads.list_folders")
def list_folders(call: Call) -> list[ThreadFolder]:
    """The folders that hold a thread, by name."""
    rows = call.tx.all(
        f"SELECT DISTINCT folder FROM mail_threads WHERE mailbox_id = ? AND {visible_folders(call)} "
        "ORDER BY folder",
        mailbox_of(call)["id"],
    )
    return [ThreadFolder(row["folder"]) for row in rows]


@handles("threads.get")
def get_thread(call: Call) -> ThreadDetail:
    """A thread with its messages, oldest first."""
    thread = thread_of(call, mailbox_of(call))
    rows = call.tx.all(
        f"SELECT {LISTED} FROM mail_messages AS m WHERE m.thread_id = ? ORDER BY m.created_at, m.seq",
        thread["id"],
    )
    return ThreadDetail(**thread_fields(thread), messages=[show_message(row) for row in rows])


@handles("threads.update")
def update(call: Call) -> Thread:
    """File a thread under another folder."""
    body: UpdateThreadRequest = call.body
    mailbox = mailbox_of(call)
    thread = thread_of(call, mailbox)
    if "folder" in body.model_fields_set:
        if body.folder is None or body.folder == BLOCKED:
            raise invalid("A thread is filed under inbox, spam or archive", "body", "folder")
        call.tx.update("mail_threads", thread["id"], folder=body.folder)
    return show_thread(thread_of(call, mailbox))


@handles("threads.delete")
def delete(call: Call) -> None:
    """Delete a thread and all its messages."""
    delete_thread(call.tx, thread_of(call, mailbox_of(call)))
