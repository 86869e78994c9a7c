"""The operations on mailboxes: list, get, settings, search."""

from __future__ import annotations

import re
from sqlite3 import Row

from inkbox_async.generated.models.common import FilterModeChangeNotice
from inkbox_async.generated.models.mail import Mailbox, MessagePage, UpdateMailboxRequest
from inkbox_async.generated.queries.mail import MailboxesSearchQuery
from inkbox_async.sandbox.handling import Call, handles, invalid
from inkbox_async.sandbox.mail.filters import redundant_action
from inkbox_async.sandbox.mail.html_text import html_to_text
from inkbox_async.sandbox.mail.rows import LISTED, mailbox_of, show_mailbox, show_message, visible_folders
from inkbox_async.sandbox.mail.signatures import sanitise

_WORD = re.compile(r"\w+")


@handles("mailboxes.list")
def list_mailboxes(call: Call) -> list[Mailbox]:
    """The organization's mailboxes, newest first; an agent's own."""
    rows = call.tx.all(
        "SELECT * FROM mailboxes WHERE organization_id = ? AND status <> 'deleted' "
        "ORDER BY created_at DESC, id",
        call.caller.organization_id,
    )
    return [_show(call, row) for row in rows if call.caller.may_touch(row["identity_id"])]


@handles("mailboxes.get")
def get_mailbox(call: Call) -> Mailbox:
    """One mailbox."""
    return _show(call, mailbox_of(call))


@handles("mailboxes.update")
def update(call: Call) -> Mailbox:
    """Change a mailbox's filter mode or signature."""
    body: UpdateMailboxRequest = call.body
    mailbox = mailbox_of(call)
    given = body.model_fields_set
    changes: dict[str, object] = {}
    notice = None
    if "filter_mode" in given:
        call.refuse_agents("Changing a filter mode")
        if body.filter_mode is None:
            raise invalid("Input should be 'whitelist' or 'blacklist'", "body", "filter_mode")
        mode = str(body.filter_mode)
        if {mailbox["filter_mode_inbound"], mailbox["filter_mode_outbound"]} != {mode}:
            changes |= {"filter_mode_inbound": mode, "filter_mode_outbound": mode}
            notice = _notice(call, mailbox, mode)
    if "signature_html" in given:
        changes["signature_html"] = _clean(body.signature_html)
    if "signature_text" in given:
        changes["signature_text"] = body.signature_text
    elif changes.get("signature_html") and mailbox["signature_text"] is None:
        changes["signature_text"] = html_to_text(str(changes["signature_html"]))
    if "signature_enabled" in given:
        if body.signature_enabled is None:
            raise invalid("Input should be true or false", "body", "signature_enabled")
        changes["signature_enabled"] = body.signature_enabled
    if any(mailbox[name] != value for name, value in changes.items()):
        call.tx.update("mailboxes", mailbox["id"], updated_at=call.now, **changes)
    return _show(call, mailbox_of(call), notice)


@handles("mailboxes.search")
def search(call: Call) -> MessagePage:
    """The messages that hold every word of the query, or its beginning; the best match first."""
    query: MailboxesSearchQuery = call.query
    mailbox = mailbox_of(call)
    words = _WORD.findall(query.q)
    if not words:
        return MessagePage(items=[], next_cursor=None, has_more=False)
    rows = call.tx.all(
        f"SELECT {LISTED} FROM mail_search JOIN mail_messages AS m ON m.seq = mail_search.rowid "
        "JOIN mail_threads AS t ON t.id = m.thread_id "
        f"WHERE mail_search MATCH ? AND m.mailbox_id = ? AND {visible_folders(call)} "
        "ORDER BY bm25(mail_search, 10.0, 5.0, 1.0), m.seq DESC LIMIT ?",
        " ".join(f'"{word}"*' for word in words),
        mailbox["id"],
        query.limit,
    )
    return MessagePage(items=[show_message(row) for row in rows], next_cursor=None, has_more=False)


def _show(call: Call, row: Row, notice: FilterModeChangeNotice | None = None) -> Mailbox:
    return show_mailbox(row, call.limits.mailbox_storage_bytes, notice)


def _notice(call: Call, mailbox: Row, mode: str) -> FilterModeChangeNotice:
    action = redundant_action(mode)
    count = call.tx.value(
        "SELECT count(*) FROM mail_contact_rules WHERE mailbox_id = ? AND action = ? AND status = 'active'",
        mailbox["id"],
        action,
    )
    return FilterModeChangeNotice(
        new_filter_mode=mode, redundant_rule_action=action, redundant_rule_count=count
    )


def _clean(signature: str | None) -> str | None:
    if signature is None:
        return None
    try:
        return sanitise(signature)
    except ValueError as error:
        raise invalid(f"Not a signature: {error}", "body", "signature_html") from None
