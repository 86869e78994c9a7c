"""The console's pages show what there is and can be written into by nobody."""

from __future__ import annotations

from html.parser import HTMLParser

from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.markup import element

from .conftest import Api

HOSTILE = "<script>alert(1)</script>&\"'"


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href" and value]

    def handle_data(self, data: str) -> None:
        self.text += data


async def page(admin: Api, path: str) -> Page:
    reply = await admin.with_key(None).call("GET", path)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    shown = Page(reply.body)
    assert "script" not in shown.tags
    return shown


async def test_identities_and_their_conversations(sandbox: Sandbox, admin: Api) -> None:
    assert "No identities yet." in (await page(admin, "/console")).text
    identity = await admin.identity("agent-one", display_name=HOSTILE, phone_number={})
    await sandbox.world.send_email(
        from_=f'"{HOSTILE.replace(chr(34), "")}" <ann@example.com>',
        to=[identity["email_address"]],
        subject=HOSTILE,
        text=HOSTILE,
        attachments=[{"filename": "a<b>.txt", "content_type": "text/plain", "content_base64": "aGk="}],
    )
    shown = await page(admin, "/console")
    for text in (sandbox.organization_id, "@agent-one", HOSTILE, identity["phone_number"]["number"]):
        assert text in shown.text
    (link,) = [link for link in shown.links if "mailboxes" in link]
    mailbox = await page(admin, link)
    assert mailbox.text.count(HOSTILE) >= 2, "subject and text are shown as they are"
    assert "ann@example.com" in mailbox.text
    assert "a<b>.txt (2 bytes)" in mailbox.text


async def test_the_outbox(sandbox: Sandbox, admin: Api) -> None:
    assert "Nothing has left" in (await page(admin, "/console/outbox")).text
    body = {"human_email": "owner@example.com", "note_to_human": HOSTILE}
    await admin.with_key(None).ok("POST", "/api/v1/agent-signup", body)
    shown = await page(admin, "/console/outbox")
    assert HOSTILE in shown.text
    assert "owner@example.com" in shown.text


async def test_a_browser_at_the_address_of_the_api_is_led_to_it(admin: Api) -> None:
    reply = await admin.with_key(None).call("GET", "/")
    assert (reply.status, reply.headers["Location"]) == (302, "/console")


async def test_a_mailbox_that_is_not_there(admin: Api) -> None:
    assert (await admin.call("GET", "/console/mailboxes/nobody@example.com")).status == 404


def test_elements_escape_text_and_attributes() -> None:
    shown = element("a", "<&>", element("b", None, 7), [element("i", '"')], href='"><script>', class_="x")
    assert shown == ('<a href="&quot;&gt;&lt;script&gt;" class="x">&lt;&amp;&gt;<b>7</b><i>&quot;</i></a>')
