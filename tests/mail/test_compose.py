"""Outgoing mail as bytes: what we write, we and the standard library read back unchanged."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkbox_async.sandbox.mail.compose import Original, Outgoing, inline_forward, render, reply_all_recipients
from inkbox_async.sandbox.mail.mime import Attachment, parse

MESSAGE = Outgoing(
    message_id="<17@inkboxmail.com>",
    date=datetime(2026, 5, 2, 10, 20, tzinfo=UTC),
    from_address="scout@inkboxmail.com",
    from_display_name="Scout, the ägent",
    to=["ada@example.com", "lin@example.com"],
    cc=["max@example.com"],
    subject="Größe",
    body_text="Grüße\n.\nFrom me",
    body_html=None,
)
LOGO = Attachment("logo.png", "image/png", b"\x89PNG", content_id="logo", is_inline=True)
QUOTE = Attachment("Übersicht 17.txt", "text/plain; charset=utf-8", "Grüße".encode())


def test_headers_and_text_survive() -> None:
    parsed = parse(
        render(
            replace(MESSAGE, in_reply_to="<16@x>", references=["<15@x>", "<16@x>"], reply_to="d@x.example")
        )
    )
    assert parsed.message_id == "<17@inkboxmail.com>"
    assert (parsed.from_address, parsed.from_display_name) == ("scout@inkboxmail.com", "Scout, the ägent")
    assert (parsed.to, parsed.cc) == (("ada@example.com", "lin@example.com"), ("max@example.com",))
    assert (parsed.in_reply_to, parsed.references) == ("<16@x>", ("<15@x>", "<16@x>"))
    assert parsed.reply_to == ("d@x.example",)
    assert (parsed.subject, parsed.body_text, parsed.body_html) == ("Größe", "Grüße\n.\nFrom me", None)


@pytest.mark.parametrize("text", ["Hello", None, ""])
@pytest.mark.parametrize("page", ["<p>Grüße</p>", None])
@pytest.mark.parametrize("attachments", [[], [LOGO], [QUOTE], [LOGO, QUOTE]])
def test_every_combination_of_parts_survives(
    text: str | None, page: str | None, attachments: list[Attachment]
) -> None:
    raw = render(replace(MESSAGE, body_text=text, body_html=page, attachments=attachments))
    parsed = parse(raw)
    assert parsed.body_html == page
    assert parsed.body_text == (text if text is not None or page is not None else "")
    assert {
        (part.filename, part.content, part.content_id, part.is_inline) for part in parsed.attachments
    } == {(part.filename, part.content, part.content_id, part.is_inline) for part in attachments}
    assert not [
        part for part in email.message_from_bytes(raw, policy=email.policy.default).walk() if part.defects
    ]
    assert b"\n" not in raw.replace(b"\r\n", b"")


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 57 * 1024, 57 * 1024 + 1, 200_000])
def test_files_of_every_size_survive_in_short_lines(size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    raw = render(replace(MESSAGE, attachments=[Attachment("a.bin", "application/octet-stream", content)]))
    assert [part.content for part in parse(raw).attachments] == [content]
    assert max(len(line) for line in raw.split(b"\r\n")) <= 78


def test_addresses_beyond_ascii_need_utf8_headers() -> None:
    raw = render(replace(MESSAGE, to=["jürgen@bücher.example"], from_address="köln@inkboxmail.com"))
    assert "jürgen@bücher.example".encode() in raw
    parsed = parse(raw)
    assert (parsed.to, parsed.from_address) == (("jürgen@bücher.example",), "köln@inkboxmail.com")
    assert parsed.from_display_name == "Scout, the ägent"


def test_a_wrapped_message_is_carried_byte_for_byte() -> None:
    inner = b"From: a@b.example\r\nSubject:  odd \xff spacing\r\nDKIM-Signature: x\r\n\r\nbody \xfe\r\n"
    raw = render(replace(MESSAGE, attachments=[Attachment("forwarded.eml", "message/rfc822", inner)]))
    assert inner in raw
    (part,) = parse(raw).attachments
    assert (part.filename, part.content_type) == ("forwarded.eml", "message/rfc822")
    assert parse(part.content).body_text == "body þ"


def test_a_line_break_cannot_add_a_header() -> None:
    with pytest.raises(ValueError, match=r"[Hh]eader"):
        render(replace(MESSAGE, subject="Hello\r\nBcc: victim@example.com"))
    with pytest.raises(ValueError, match=r"[Hh]eader"):
        render(replace(MESSAGE, headers={"X-Note": "a\nBcc: victim@example.com"}))


@pytest.mark.parametrize("name", ["", "Two Words", "Colon:", "Content-Type", "mime-version", "Ünicode"])
def test_header_names_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be given"):
        render(replace(MESSAGE, headers={name: "x"}))


def test_further_headers_replace_ours() -> None:
    raw = render(replace(MESSAGE, headers={"X-Mailer": "tests", "Subject": "other"}))
    assert (parse(raw).subject, raw.lower().count(b"\r\nsubject:")) == ("other", 1)
    assert b"X-Mailer: tests\r\n" in raw


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=60))
def test_any_text_can_be_sent(text: str, page: str, name: str) -> None:
    display_name = " ".join(name.split())
    if not display_name.isprintable():
        display_name = "Scout"
    parsed = parse(render(replace(MESSAGE, body_text=text, body_html=page, from_display_name=display_name)))
    lines = text.replace("\x00", "").splitlines()
    assert (parsed.body_text or "").split() == "\n".join(lines).split()
    assert (parsed.from_display_name or "") == display_name


ORIGINAL = Original(
    from_address="ada@example.com",
    from_display_name="Ada <3",
    to=["scout@inkboxmail.com"],
    cc=[],
    subject="Quote & more",
    date=datetime(2026, 5, 2, 9, 0, tzinfo=UTC),
    body_text="See <this>.",
    body_html=None,
)


def test_inline_forward_of_text() -> None:
    text, page = inline_forward(ORIGINAL, "FYI", None)
    assert page is None
    assert text.startswith("FYI\n\n---------- Forwarded message")
    assert (
        "From: Ada <3 <ada@example.com>\nDate: Sat, 02 May 2026 09:00:00 +0000\nSubject: Quote & more" in text
    )
    assert text.endswith("To: scout@inkboxmail.com\n\nSee <this>.")


def test_inline_forward_inherits_html_and_escapes_what_is_not() -> None:
    text, page = inline_forward(
        replace(ORIGINAL, body_html="<p>See <b>this</b></p>", body_text=None), "A < B", None
    )
    assert page is not None
    assert page.startswith("A &lt; B")
    assert page.endswith("<p>See <b>this</b></p>")
    assert "Ada &lt;3 &lt;ada@example.com&gt;" in page
    assert text.endswith("See this")


def test_inline_forward_with_a_note_in_html() -> None:
    text, page = inline_forward(ORIGINAL, None, "<p>For <i>you</i></p>")
    assert text.startswith("For you\n\n")
    assert page is not None
    assert page.startswith("<p>For <i>you</i></p>")
    assert page.endswith("See &lt;this&gt;.")


@pytest.mark.parametrize(
    ("reply_to", "to", "cc", "expected"),
    [
        ([], ["me@x.example"], [], (["ada@x.example"], [])),
        (
            [],
            ["ME@x.example", "lin@x.example"],
            ["max@x.example"],
            (["ada@x.example", "lin@x.example"], ["max@x.example"]),
        ),
        (["desk@x.example"], ["me@x.example"], ["ada@x.example"], (["desk@x.example"], ["ada@x.example"])),
        (
            [],
            ["lin@x.example", "LIN@x.example"],
            ["lin@x.example", "me@x.example"],
            (["ada@x.example", "lin@x.example"], []),
        ),
        (["me@x.example"], ["me@x.example"], [], ([], [])),
    ],
)
def test_whom_a_reply_to_all_goes_to(
    reply_to: list[str], to: list[str], cc: list[str], expected: tuple[list[str], list[str]]
) -> None:
    assert reply_all_recipients(["me@x.example"], "ada@x.example", reply_to, to, cc) == expected
