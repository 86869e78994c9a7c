"""Mail from outside by real SMTP: what is taken in, what is refused, and that nothing is left running."""

from __future__ import annotations

import asyncio
import smtplib
import threading
from email.message import EmailMessage

import pytest

from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.smtp import MAX_MESSAGE_BYTES, MAX_RECIPIENTS

from .conftest import Api, by_smtp


def message(to: str, subject: str = "Hello", text: str = "Hi") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Ann <ann@example.com>", to, subject
    mail.set_content(text)
    return mail


async def test_a_message_with_an_attachment_arrives(api: Api) -> None:
    address = await api.identity("scout")
    mail = message(address, "Größe", "Grüße\n.\n..dots")
    mail.add_attachment(b"\x00\xff" * 100, maintype="application", subtype="pdf", filename="a.pdf")
    await by_smtp(api.sandbox, mail)
    (received,) = await api.messages(address)
    detail = await api.message(address, received["id"])
    assert (detail["from_address"], detail["from_display_name"]) == ("ann@example.com", "Ann")
    assert (detail["subject"], detail["body_text"]) == ("Größe", "Grüße\n.\n..dots")
    (part,) = detail["attachment_metadata"]
    assert (part["filename"], part["size"]) == ("a.pdf", 200)


async def test_several_recipients_get_one_copy_each(api: Api) -> None:
    scout, other = await api.identity("scout"), await api.identity("other")
    to = [scout, other, scout.upper()]
    await by_smtp(api.sandbox, message(scout), from_addr="ann@example.com", to_addrs=to)
    assert len(await api.messages(scout)) == len(await api.messages(other)) == 1


async def test_many_sessions_at_once_lose_nothing(api: Api) -> None:
    address = await api.identity("scout")
    await asyncio.gather(
        *(by_smtp(api.sandbox, message(address, f"smtp {number}")) for number in range(20)),
        *(api.send(address, "ann@example.com", subject=f"sent {number}") for number in range(20)),
    )
    messages = await api.messages(address)
    expected = {f"smtp {number}" for number in range(20)} | {f"sent {number}" for number in range(20)}
    assert {item["subject"] for item in messages} == expected
    assert len({item["created_at"] for item in messages}) == len(messages) == 40


async def test_an_unknown_recipient_is_refused_at_once_and_the_others_are_served(api: Api) -> None:
    address = await api.identity("scout")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refusal:
        await by_smtp(api.sandbox, message("nobody@inkboxmail.com"))
    assert refusal.value.recipients["nobody@inkboxmail.com"][0] == 550
    await by_smtp(
        api.sandbox,
        message(address),
        from_addr="ann@example.com",
        to_addrs=["nobody@inkboxmail.com", address],
    )
    assert len(await api.messages(address)) == 1


async def test_a_deleted_mailbox_is_unknown(api: Api) -> None:
    address = await api.identity("scout")
    await api.ok("DELETE", "/identities/scout")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await by_smtp(api.sandbox, message(address))


async def test_eight_bit_bodies_and_addresses(api: Api) -> None:
    address = await api.identity("scout")
    raw = "From: Jürgen <jürgen@bücher.example>\r\nSubject: Größe\r\n\r\nGrüße\r\n".encode()
    options = {"mail_options": ["BODY=8BITMIME", "SMTPUTF8"]}
    await by_smtp(api.sandbox, raw, from_addr="jürgen@bücher.example", to_addrs=[address], **options)
    (received,) = await api.messages(address)
    assert (received["from_address"], received["subject"]) == ("jürgen@bücher.example", "Größe")
    assert received["snippet"] == "Grüße"


async def test_lines_may_be_long_or_end_in_lf_alone(api: Api) -> None:
    address = await api.identity("scout")
    raw = b"Subject: bare\n\n" + b"x" * 100_000 + b"\n" + b"y\n" * 50_000
    await by_smtp(api.sandbox, raw, from_addr="a@b.example", to_addrs=[address])
    (received,) = await api.messages(address)
    body = (await api.message(address, received["id"]))["body_text"]
    assert (received["subject"], len(body)) == ("bare", 100_000 + 100_000)


async def test_bounces_have_no_sender(api: Api) -> None:
    address = await api.identity("scout")
    await by_smtp(api.sandbox, b"Subject: Undeliverable\r\n\r\nx\r\n", from_addr="", to_addrs=[address])
    assert [item["subject"] for item in await api.messages(address)] == ["Undeliverable"]


async def test_the_size_limit_is_told_and_kept(api: Api) -> None:
    address = await api.identity("scout")

    def attempt() -> tuple[str, int, int]:
        with smtplib.SMTP(api.sandbox.smtp_host or "", api.sandbox.smtp_port or 0, "outside") as client:
            client.ehlo()
            told = client.esmtp_features["size"]
            early, _ = client.mail("a@example.com", [f"SIZE={MAX_MESSAGE_BYTES + 1}"])
            client.mail("a@example.com")
            client.rcpt(address)
            late, _ = client.data(
                b"x" * 998 + b"\r\n" + (b"y" * 998 + b"\r\n") * (MAX_MESSAGE_BYTES // 1000 + 1)
            )
            return told, early, late

    assert await asyncio.to_thread(attempt) == (str(MAX_MESSAGE_BYTES), 552, 552)
    assert await api.messages(address) == []


@pytest.mark.parametrize(
    ("sent", "subject", "text"),
    [
        (b"", None, ""),
        (b"\r\n", None, ""),
        (b"Subject: a\r\n\r\n..\r\n...\r\n.x\r\n", "a", ".\n..\nx"),
        (b"Subject: b\r\n\r\none\n.\ntwo\r\n", "b", "one\n.\ntwo"),
        (b"Subject: c\r\n\r\none\r.\rtwo\r\n", "c", "one\n.\ntwo"),
        (b"..dots first\r\n", None, ".dots first"),
    ],
)
async def test_where_a_message_ends(api: Api, sent: bytes, subject: str | None, text: str) -> None:
    address = await api.identity("scout")
    assert api.sandbox.smtp_host is not None
    reader, writer = await asyncio.open_connection(api.sandbox.smtp_host, api.sandbox.smtp_port)
    envelope = f"MAIL FROM:<ann@example.com>\r\nRCPT TO:<{address}>\r\nDATA\r\n".encode()
    again = b"Subject: again\r\n\r\nlast\r\n.\r\nQUIT\r\n"
    # All at once, as senders do who do not wait for answers: what follows a message is a command again.
    writer.write(b"EHLO ann\r\n" + envelope + sent + b".\r\n" + envelope + again)
    codes = [line[:3] for line in (await reader.read()).splitlines() if line[3:4] == b" "]
    writer.close()
    assert codes == [b"220", b"250", *[b"250", b"250", b"354", b"250"] * 2, b"221"]
    last, first = await api.messages(address)
    assert (last["subject"], last["snippet"]) == ("again", "last")
    detail = await api.message(address, first["id"])
    assert (detail["subject"], (detail["body_text"] or "").strip("\n")) == (subject, text)


async def test_after_a_message_that_is_too_large_comes_the_next(api: Api) -> None:
    address = await api.identity("scout")
    assert api.sandbox.smtp_host is not None
    reader, writer = await asyncio.open_connection(api.sandbox.smtp_host, api.sandbox.smtp_port)
    envelope = f"MAIL FROM:<ann@example.com>\r\nRCPT TO:<{address}>\r\nDATA\r\n".encode()
    for answer in (b"220", b"250"):
        while not (line := await reader.readline()).startswith(answer + b" "):
            assert line[3:4] == b"-"
        if answer == b"220":
            writer.write(b"EHLO ann\r\n")
    for size, answer in ((MAX_MESSAGE_BYTES + 1, b"552"), (10, b"250")):
        writer.write(envelope)
        for expected in (b"250", b"250", b"354"):
            assert (await reader.readline()).startswith(expected)
        writer.write(b"x" * size + b"\r\n.\r\n")
        await writer.drain()
        assert (await reader.readline()).startswith(answer)
    writer.close()
    assert [item["snippet"] for item in await api.messages(address)] == ["x" * 10]


async def test_recipients_of_one_message_are_limited(api: Api) -> None:
    address = await api.identity("scout")

    def attempt() -> list[int]:
        with smtplib.SMTP(api.sandbox.smtp_host or "", api.sandbox.smtp_port or 0, "outside") as client:
            client.ehlo()
            client.mail("a@example.com")
            return [client.rcpt(address)[0] for _ in range(MAX_RECIPIENTS + 1)]

    codes = await asyncio.to_thread(attempt)
    assert (set(codes[:-1]), codes[-1]) == ({250}, 452)


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\r\n",
        b"RCPT TO:<a@b.example>\r\n",
        b"DATA\r\n",
        b"MAIL FROM:\r\n",
        b"x" * 1000 + b"\r\n",
        b"MAIL FROM:<a@b.example> FOO=BAR\r\n",
        b"\r\n",
    ],
)
async def test_nonsense_gets_an_error_and_the_session_lives_on(api: Api, line: bytes) -> None:
    reader, writer = await asyncio.open_connection(api.sandbox.smtp_host, api.sandbox.smtp_port)
    assert (await reader.readline()).startswith(b"220 ")
    writer.write(b"HELO outside\r\n")
    assert (await reader.readline()).startswith(b"250 ")
    writer.write(line)
    assert (await reader.readline())[:1] == b"5"
    writer.write(b"NOOP\r\n")
    assert (await reader.readline()).startswith(b"250 ")
    writer.close()
    await writer.wait_closed()


async def test_a_connection_that_breaks_stores_nothing(api: Api) -> None:
    address = await api.identity("scout")
    reader, writer = await asyncio.open_connection(api.sandbox.smtp_host, api.sandbox.smtp_port)
    commands = f"HELO outside\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<{address}>\r\nDATA\r\n".encode()
    writer.write(commands)
    while not (await reader.readline()).startswith(b"354 "):
        pass
    writer.write(b"Subject: half\r\n\r\nhalf a mess")
    writer.close()
    await writer.wait_closed()
    await by_smtp(api.sandbox, message(address, "whole"))
    assert [item["subject"] for item in await api.messages(address)] == ["whole"]


async def test_stopping_cuts_open_sessions_off_and_leaves_nothing_behind() -> None:
    before = set(threading.enumerate())
    async with Sandbox() as sandbox:
        reader, writer = await asyncio.open_connection(sandbox.smtp_host, sandbox.smtp_port)
        assert (await reader.readline()).startswith(b"220 ")
        port = sandbox.smtp_port
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        await asyncio.open_connection("127.0.0.1", port)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert [thread.name for thread in set(threading.enumerate()) - before if "sandbox" in thread.name] == []


async def test_a_taken_port_is_an_error_of_starting() -> None:
    async with Sandbox() as sandbox:
        with pytest.raises(OSError, match="address already in use"):
            async with Sandbox(smtp_port=sandbox.smtp_port or 0):
                pass
