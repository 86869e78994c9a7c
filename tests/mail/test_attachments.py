"""Links to attachments: what they give, to whom, and for how long."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from .conftest import Api


def file(name: str, content: bytes, content_type: str = "text/plain") -> dict[str, str]:
    return {
        "filename": name,
        "content_type": content_type,
        "content_base64": base64.b64encode(content).decode(),
    }


async def link(api: Api, address: str, message_id: str, name: str) -> str:
    path = f"/mail/mailboxes/{address}/messages/{message_id}/attachments/{quote(name, safe='')}"
    answer = await api.ok("GET", path, redirect="false")
    assert (answer["filename"], answer["expires_in"]) == (name, 900)
    url: str = answer["url"]
    return url


@pytest.mark.parametrize("name", ["a.txt", "Übersicht 17.pdf", "a+b=c&d?e#f%20g;h.txt", '"quoted".txt'])
async def test_a_link_gives_the_content_without_a_key(api: Api, name: str) -> None:
    address = await api.identity("scout")
    content = bytes(range(256)) * 10
    delivery = await api.receive(address, attachments=[file(name, content, "application/pdf")])
    url = await link(api, address, delivery["message_id"], name)
    async with api.session.get(url) as response:
        assert (response.status, response.content_type) == (200, "application/pdf")
        assert await response.read() == content
        assert quote(name, safe="") in response.headers["Content-Disposition"]


async def test_sent_files_can_be_fetched_too_and_empty_ones(api: Api) -> None:
    address = await api.identity("scout")
    sent = await api.send(address, "ann@example.com", attachments=[file("empty.txt", b"")])
    async with api.session.get(await link(api, address, sent["id"], "empty.txt")) as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_files_of_one_name_are_told_apart(api: Api) -> None:
    address = await api.identity("scout")
    files = [file("a.txt", b"one"), file("a.txt", b"two")]
    delivery = await api.receive(address, attachments=files)
    for name, content in (("a.txt", b"one"), ("a (2).txt", b"two")):
        async with api.session.get(await link(api, address, delivery["message_id"], name)) as response:
            assert await response.read() == content


async def test_a_redirect_leads_to_the_content(api: Api) -> None:
    address = await api.identity("scout")
    delivery = await api.receive(address, attachments=[file("a.txt", b"hello")])
    path = f"/mail/mailboxes/{address}/messages/{delivery['message_id']}/attachments/a.txt"
    reply = await api.call("GET", path, query={"redirect": "true"})
    assert reply.status == 302
    async with api.session.get(reply.headers["Location"]) as response:
        assert await response.read() == b"hello"


async def test_links_expire_on_the_clock(api: Api) -> None:
    address = await api.identity("scout")
    delivery = await api.receive(address, attachments=[file("a.txt", b"hello")])
    url = await link(api, address, delivery["message_id"], "a.txt")
    api.sandbox.clock.advance(899)
    async with api.session.get(url) as response:
        assert response.status == 200
    api.sandbox.clock.advance(2)
    async with api.session.get(url) as response:
        assert response.status == 403


async def test_links_cannot_be_forged(api: Api) -> None:
    address = await api.identity("scout")
    files = [file("a.txt", b"one"), file("b.txt", b"two")]
    delivery = await api.receive(address, attachments=files)
    first = (await link(api, address, delivery["message_id"], "a.txt")).split("/")
    second = (await link(api, address, delivery["message_id"], "b.txt")).split("/")
    attachment, expires, signature = -4, -3, -2
    for part, value in (
        (attachment, second[attachment]),
        (expires, str(int(first[expires]) + 1)),
        (expires, "never"),
        (signature, "0" * 64),
        (signature, "%C3%BC"),
    ):
        forged = list(first)
        forged[part] = value
        async with api.session.get("/".join(forged)) as response:
            assert response.status == 403, forged


async def test_what_is_not_there_is_not_found(api: Api) -> None:
    address = await api.identity("scout")
    delivery = await api.receive(address, attachments=[file("a.txt", b"one")])
    path = f"/mail/mailboxes/{address}/messages/{delivery['message_id']}"
    assert (await api.call("GET", f"{path}/attachments/b.txt")).status == 404
    assert (await api.call("GET", f"{path}/attachments/a.txt", query={"redirect": "maybe"})).status == 422
    url = await link(api, address, delivery["message_id"], "a.txt")
    await api.ok("DELETE", path)
    assert (await api.call("GET", f"{path}/attachments/a.txt")).status == 404
    async with api.session.get(url) as response:
        assert response.status == 404
