"""The console: pages for people that show what is in the sandbox. They change nothing and run no script."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from sqlite3 import Row
from urllib.parse import quote

from . import outbox
from .clock import parse_timestamp
from .handling import Answer, Call, not_found, serves
from .markup import Markup, element

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
nav a { margin-right: 1rem; }
table { border-collapse: collapse; width: 100%; }
td, th { border-bottom: 1px solid #8884; padding: .35rem .6rem .35rem 0; }
td, th { text-align: left; vertical-align: top; }
article { border: 1px solid #8884; border-radius: 6px; margin: .6rem 0; padding: .6rem .9rem; }
pre { font: inherit; margin: .4rem 0 0; overflow-wrap: anywhere; white-space: pre-wrap; }
small, .quiet { color: #888; }
.label { background: #8883; border-radius: 4px; font-size: .85em; margin-left: .5rem; padding: 0 .35rem; }
"""


@serves("GET", "/")
def lead_to_the_console(call: Call) -> Answer:
    """A person who opens the address of the API in a browser wants to see this."""
    return Answer(status=302, headers={"Location": "/console"})


@serves("GET", "/console")
def show_organizations(call: Call) -> Answer:
    """Organizations and their identities."""
    organizations = call.tx.all("SELECT * FROM organizations ORDER BY created_at, rowid")
    return _page("Identities", [_organization(call, row) for row in organizations])


@serves("GET", "/console/mailboxes/{email_address}")
def show_mailbox(call: Call) -> Answer:
    """The conversations of one mailbox, the latest first."""
    address = call.path["email_address"].lower()
    mailbox = call.tx.one("SELECT * FROM mailboxes WHERE email_address = ? ORDER BY created_at DESC", address)
    if mailbox is None:
        raise not_found("Mailbox")
    threads = call.tx.all(
        "SELECT * FROM mail_threads WHERE mailbox_id = ? ORDER BY last_message_at DESC", mailbox["id"]
    )
    shown = [_thread(call, row) for row in threads]
    return _page(address, shown or [element("p", "No mail yet.", class_="quiet")])


@serves("GET", "/console/outbox")
def show_outbox(call: Call) -> Answer:
    """What left for the outside, the latest first."""
    shown = [
        element(
            "article",
            element("strong", item.subject or item.channel),
            _label(item.channel),
            element("div", f"{item.from_} → {', '.join(item.to)}"),
            element("small", _time(item.created_at)),
            None if item.text is None else element("pre", item.text),
            None if not item.media_urls else element("div", ", ".join(item.media_urls)),
        )
        for item in outbox.sent(call.tx)
    ]
    return _page("Outbox", shown or [element("p", "Nothing has left the sandbox yet.", class_="quiet")])


def _organization(call: Call, organization: Row) -> Markup:
    identities = call.tx.all(
        "SELECT i.*, m.email_address, n.number, t.tunnel_name, "
        "(SELECT count(*) FROM mail_threads AS h WHERE h.mailbox_id = m.id) AS threads "
        "FROM identities AS i "
        "LEFT JOIN mailboxes AS m ON m.identity_id = i.id AND m.status <> 'deleted' "
        "LEFT JOIN tunnels AS t ON t.identity_id = i.id AND t.status <> 'deleted' "
        "LEFT JOIN phone_numbers AS n ON n.identity_id = i.id AND n.status <> 'released' "
        "WHERE i.organization_id = ? AND i.status <> 'deleted' ORDER BY i.created_at DESC",
        organization["id"],
    )
    head = element("tr", *(element("th", name) for name in ("Identity", "Mailbox", "Phone", "Tunnel")))
    rows = [
        element(
            "tr",
            element(
                "td",
                f"@{row['agent_handle']}",
                _label("paused") if row["status"] == "paused" else None,
                element("div", row["display_name"], class_="quiet"),
            ),
            element("td", _mailbox_link(row)),
            element("td", row["number"]),
            element("td", row["tunnel_name"] and call.settings.public_host(row["tunnel_name"])),
        )
        for row in identities
    ]
    table = element("table", head, rows) if rows else element("p", "No identities yet.", class_="quiet")
    return element("section", element("h2", organization["id"]), table)


def _mailbox_link(row: Row) -> Markup | None:
    if row["email_address"] is None:
        return None
    link = element(
        "a", row["email_address"], href=f"/console/mailboxes/{quote(row['email_address'], safe='@')}"
    )
    return element(
        "span",
        link,
        element("div", f"{row['threads']} conversation{'s' * (row['threads'] != 1)}", class_="quiet"),
    )


def _thread(call: Call, thread: Row) -> Markup:
    messages = call.tx.all("SELECT * FROM mail_messages WHERE thread_id = ? ORDER BY seq", thread["id"])
    return element(
        "section",
        element("h2", thread["subject"] or "(no subject)", _label(thread["folder"])),
        [_message(call, row) for row in messages],
    )


def _message(call: Call, message: Row) -> Markup:
    sender = message["from_address"]
    if message["from_display_name"]:
        sender = f"{message['from_display_name']} <{sender}>"
    files = call.tx.all(
        "SELECT filename, size FROM mail_attachments WHERE message_id = ? ORDER BY part_index", message["id"]
    )
    return element(
        "article",
        element("strong", sender),
        _label(message["status"] if message["direction"] == "outbound" else message["direction"]),
        _label("unread") if message["direction"] == "inbound" and not message["is_read"] else None,
        *(
            element("div", f"{name}: {', '.join(addresses)}")
            for name, column in (("To", "to_addresses"), ("Cc", "cc_addresses"), ("Bcc", "bcc_addresses"))
            if (addresses := json.loads(message[column]))
        ),
        element("small", _time(parse_timestamp(message["created_at"]))),
        element("pre", message["body_text"] or message["snippet"]),
        [element("div", f"📎 {row['filename']} ({row['size']} bytes)") for row in files],
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _label(text: str) -> Markup:
    return element("span", text, class_="label")


def _page(title: str, content: Iterable[Markup]) -> Answer:
    places = (("Identities", "/console"), ("Outbox", "/console/outbox"))
    head = element(
        "head",
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width">'),
        element("title", f"{title} · Inkbox sandbox"),
        element("style", Markup(_STYLE)),
    )
    body = element(
        "body",
        element("nav", [element("a", name, href=place) for name, place in places]),
        element("h1", title),
        list(content),
    )
    document = f"<!doctype html>{element('html', head, body, lang='en')}"
    return Answer(document.encode(), content_type="text/html; charset=utf-8", headers=_HEADERS)
