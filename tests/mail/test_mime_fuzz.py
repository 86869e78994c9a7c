"""Whatever bytes arrive: parsing never raises, and what it yields can always be stored."""

from __future__ import annotations

import base64
import quopri
import sqlite3
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkbox_async.sandbox.mail import structure
from inkbox_async.sandbox.mail.mime import MAX_FILENAME_LENGTH, Attachment, ParsedMessage, parse

BITS = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b";",
        b":",
        b'"',
        b"'",
        b"=",
        b"*",
        b"<",
        b">",
        b"@",
        b",",
        b"(",
        b")",
        b"\\",
        b"--",
        b"--b",
        b"--b--",
        b"--c",
        b"\r\n--b\r\n",
        b"\r\n--b--\r\n",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"=?utf-8?B?",
        b"=?utf-7?Q?",
        b"=?x?q?=C3?=",
        b"?=",
        b"+2AA-",
        b"%00",
        b"%ED%A0%80",
        b"a@b.example",
        b"utf-8''",
    ]
)
JUNK = st.one_of(st.lists(BITS, max_size=12).map(b"".join), st.binary(max_size=60))
HEADER = st.tuples(
    st.sampled_from(
        [
            b"From",
            b"To",
            b"Cc",
            b"Sender",
            b"Reply-To",
            b"Subject",
            b"Message-ID",
            b"In-Reply-To",
            b"References",
            b"Content-Type",
            b"Content-Disposition",
            b"Content-Transfer-Encoding",
            b"Content-ID",
            b"MIME-Version",
            b"X",
        ]
    ),
    st.one_of(
        JUNK,
        st.sampled_from(
            [
                b"multipart/mixed; boundary=b",
                b"multipart/alternative; boundary=c",
                b"multipart/digest; boundary=b",
                b"text/html; charset=utf-16",
                b"text/plain; charset=unicode_escape",
                b"message/rfc822",
                b"message/partial",
                b"message/delivery-status",
                b"message/external-body",
                b"text/plain; charset*=x''%ff",
                b"image/png; name*0*=u'",
                b"base64",
                b"quoted-printable",
                b"uuencode",
                b'inline; filename="',
                b"attachment; filename*=utf-7''+2AA-",
            ]
        ),
    ),
).map(lambda pair: pair[0] + b": " + pair[1] + b"\r\n")
ENTITY = st.tuples(st.lists(HEADER, max_size=6).map(b"".join), JUNK).map(b"\r\n".join)
MAIL = st.lists(ENTITY, max_size=5).map(b"\r\n--b\r\n".join)


def strings(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case tuple():
            return [text for item in value for text in strings(item)]
        case Attachment() | ParsedMessage():
            return [text for name in fields(value) for text in strings(getattr(value, name.name))]
        case _:
            return []


@given(st.one_of(MAIL, JUNK))
def test_any_bytes_become_a_storable_message(raw: bytes) -> None:
    parsed = parse(raw)
    for text in strings(parsed):
        assert "\x00" not in text
        text.encode("utf-8")
    for header in (
        parsed.message_id,
        parsed.subject,
        parsed.from_address,
        parsed.from_display_name,
        *parsed.to,
    ):
        assert header is None or not {"\r", "\n"} & set(header)
    for part in parsed.attachments:
        assert 1 <= len(part.filename) <= MAX_FILENAME_LENGTH
        assert "/" not in part.filename
        assert "\n" not in part.filename
    names = [part.filename.lower() for part in parsed.attachments]
    assert len(set(names)) == len(names)
    with sqlite3.connect(":memory:") as connection:
        connection.execute("SELECT ?, ?", (parsed.body_text, parsed.body_html))
    connection.close()


WORDS = st.text("abc =-\r\n\tàé€", max_size=80).map(str.encode)
CONTENT = st.one_of(
    WORDS,
    JUNK,
    st.binary(max_size=90).map(base64.encodebytes),
    st.binary(max_size=90).map(lambda data: base64.encodebytes(data).replace(b"\n", b"\r\n") + b"\r\n"),
    st.binary(max_size=90).map(quopri.encodestring),
    st.tuples(st.binary(max_size=40).map(base64.encodebytes), JUNK).map(b"".join),
)
KNOWN = st.sampled_from([b"base64", b"BASE64 ", b"quoted-printable", b"8bit", b"x-uuencode", b"binary", b"?"])
LEAF = st.tuples(KNOWN, st.sampled_from([b"text/plain", b"application/x"]), CONTENT).map(
    lambda leaf: b"Content-Transfer-Encoding: %s\r\nContent-Type: %s; charset=utf-8\r\n\r\n%s" % leaf
)
NESTED = st.one_of(LEAF, LEAF.map(b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n".__add__))
WHOLE = st.tuples(
    st.lists(NESTED, max_size=4), st.sampled_from([b"", b"\r\n--b--", b"\r\n--b--\r\nafter"])
).map(
    lambda pair: (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n\r\n--b\r\n"
        + b"\r\n--b\r\n".join(pair[0])
        + pair[1]
    )
)


@given(st.one_of(MAIL, LEAF, WHOLE))
def test_long_contents_are_read_like_short_ones(raw: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structure, "PIECE", 10**9)
        short = parse(raw)
        patch.setattr(structure, "PIECE", 7)
        long = parse(raw)
    assert long == short
