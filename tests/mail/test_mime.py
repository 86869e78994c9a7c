"""Reading raw mail: encodings, structures, filenames, and everything senders get wrong."""

from __future__ import annotations

import base64

import pytest

from inkbox_async.sandbox.mail.mime import MAX_FILENAME_LENGTH, ParsedMessage, parse


def mail(*lines: str | bytes) -> bytes:
    return b"\r\n".join(line.encode() if isinstance(line, str) else line for line in lines)


def test_plain_message() -> None:
    parsed = parse(
        mail(
            "From: Ada Lovelace <ada@example.com>",
            "To: scout@inkboxmail.com, Lin <lin@example.com>",
            "Cc: max@example.com",
            "Reply-To: desk@example.com",
            "Subject: Quote 17",
            "Message-ID: <q17@example.com>",
            "In-Reply-To: <q16@example.com>",
            "References: <q15@example.com> <q16@example.com>",
            "",
            "See the file.",
        )
    )
    assert parsed == ParsedMessage(
        message_id="<q17@example.com>",
        from_address="ada@example.com",
        from_display_name="Ada Lovelace",
        reply_to=("desk@example.com",),
        to=("scout@inkboxmail.com", "lin@example.com"),
        cc=("max@example.com",),
        subject="Quote 17",
        in_reply_to="<q16@example.com>",
        references=("<q15@example.com>", "<q16@example.com>"),
        body_text="See the file.",
        body_html=None,
        attachments=(),
    )


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        ("=?utf-8?B?R3LDvMOfZQ==?=", "Grüße"),
        ("=?iso-8859-1?Q?Gr=FC=DFe_aus?= Berlin", "Grüße aus Berlin"),
        ("=?utf-8?B?R3LD?= =?utf-8?B?vMOfZQ==?=", "Grüße"),
        ("=?utf-8?Q?one?=\r\n =?utf-8?Q?_two?=", "one two"),
        ("=?nonsense?Q?abc?=", "abc"),
        ("=?utf-8?B?R3LDvMOfZ?=", "Grüß"),
        ("=?utf-8*de?Q?Tag?=", "Tag"),
        ("folded\r\n over two lines", "folded over two lines"),
        ("=?rot13?Q?abc?= =?punycode?Q?x?=", "abcx"),
        ("", None),
    ],
)
def test_subjects(header: str, subject: str | None) -> None:
    assert parse(mail(f"Subject: {header}", "", "")).subject == subject


@pytest.mark.parametrize(("encoded", "expected"), [("Grüße".encode(), "Grüße"), (b"Gr\xfc\xdfe", "Grüße")])
def test_eight_bit_headers_without_any_encoding(encoded: bytes, expected: str) -> None:
    parsed = parse(mail(b"Subject: " + encoded, b"From: " + encoded + b" <a@example.com>", "", ""))
    assert (parsed.subject, parsed.from_display_name) == (expected, expected)


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/plain; charset=utf-8", "Grüße".encode(), "Grüße"),
        ("text/plain; charset=iso-8859-15", b"10 \xa4", "10 €"),
        ("text/plain; charset=iso-8859-1", b"\x93Gr\xfc\xdfe\x94 \x96", "“Grüße” –"),
        ("text/plain; charset=latin1", b"\x81\xfc", "\x81ü"),
        ("text/plain; charset=nonsense", "Grüße".encode(), "Grüße"),
        ("text/plain; charset=utf-8", b"Gr\xfc\xdfe", "Grüße"),
        ("text/plain; charset=unicode_escape", rb"\ud800", r"\ud800"),
        ("text/plain; charset=utf-7", b"+2AA-", "\N{REPLACEMENT CHARACTER}"),
        ("text/plain; charset=koi8-r", "Привет".encode("koi8-r"), "Привет"),
        ("text/plain", b"a\x00b", "ab"),
        ("text", b"plain", "plain"),
        ("text/plain; charset", b"plain", "plain"),
    ],
)
def test_charsets(content_type: str, body: bytes, expected: str) -> None:
    assert parse(mail(f"Content-Type: {content_type}", "", body)).body_text == expected


@pytest.mark.parametrize(
    ("encoding", "body", "expected"),
    [
        ("base64", base64.b64encode(b"hello"), "hello"),
        ("BASE64", b"aGVsbG8", "hello"),
        ("quoted-printable", b"h=C3=A9llo =\r\nworld", "héllo world"),
        ("quoted-printable", b"50 =XX off", "50 =XX off"),
        ("8bit", "hé".encode(), "hé"),
        ("nonsense", b"hello", "hello"),
    ],
)
def test_transfer_encodings(encoding: str, body: bytes, expected: str) -> None:
    parsed = parse(
        mail("Content-Type: text/plain; charset=utf-8", f"Content-Transfer-Encoding: {encoding}", "", body)
    )
    assert parsed.body_text == expected


def multipart(subtype: str, *parts: bytes, boundary: str = "frontier") -> bytes:
    inner = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    head = f"Content-Type: multipart/{subtype}; boundary={boundary}\r\n\r\n".encode()
    return head + inner + f"--{boundary}--\r\n".encode()


TEXT = b"Content-Type: text/plain\r\n\r\nHello"
HTML = b'Content-Type: text/html\r\n\r\n<p>Hello <img src="cid:logo"></p>'
PDF = (
    b"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8="
)
LOGO = (
    b"Content-Type: image/png\r\nContent-ID: <logo>\r\n"
    b"Content-Disposition: inline; filename=logo.png\r\n\r\nPNG"
)


def test_alternative_inside_related_inside_mixed() -> None:
    parsed = parse(
        multipart(
            "mixed",
            multipart("related", multipart("alternative", TEXT, HTML, boundary="b3"), LOGO, boundary="b2"),
            PDF,
        )
    )
    assert (parsed.body_text, parsed.body_html) == ("Hello", '<p>Hello <img src="cid:logo"></p>')
    logo, pdf = parsed.attachments
    assert (logo.filename, logo.content_id, logo.is_inline) == ("logo.png", "logo", True)
    assert (pdf.filename, pdf.content_type, pdf.content, pdf.is_inline) == (
        "a.pdf",
        "application/pdf",
        b"hello",
        False,
    )


def test_a_picture_sent_as_attachment_is_not_inline_although_it_has_an_id() -> None:
    picture = LOGO.replace(b"inline", b"attachment")
    assert [part.is_inline for part in parse(multipart("mixed", TEXT, picture)).attachments] == [False]
    assert [part.is_inline for part in parse(multipart("mixed", HTML, picture)).attachments] == [True]


def test_text_around_an_attachment_is_one_body() -> None:
    footer = b"Content-Type: text/plain\r\n\r\n-- the list"
    assert parse(multipart("mixed", TEXT, PDF, footer)).body_text == "Hello\n-- the list"


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('attachment; filename="quote 17.txt"', "quote 17.txt"),
        ("attachment; filename*=utf-8''%C3%9Cbersicht.txt", "Übersicht.txt"),
        ('attachment; filename*0="long"; filename*1="name.txt"', "longname.txt"),
        ("attachment; filename*0*=utf-8''%C3%9C; filename*1*=ber.txt", "Über.txt"),
        ("attachment; filename*=nonsense''a%FC.txt", "aü.txt"),
        ('attachment; filename="=?utf-8?B?w5xiZXIudHh0?="', "Über.txt"),
        ('attachment; filename="Über.txt"', "Über.txt"),
        ('attachment; filename="..\\\\..\\\\windows\\\\system.ini"', "system.ini"),
        ('attachment; filename="/etc/passwd"', "passwd"),
        ('attachment; filename=".."', "attachment-1.txt"),
        ("attachment", "attachment-1.txt"),
        ('attachment; filename="' + "x" * 400 + '.pdf"', "x" * (MAX_FILENAME_LENGTH - 4) + ".pdf"),
    ],
)
def test_filenames(disposition: str, filename: str) -> None:
    parsed = parse(mail("Content-Type: text/plain", f"Content-Disposition: {disposition}", "", "content"))
    assert [part.filename for part in parsed.attachments] == [filename]
    assert parsed.body_text is None


def test_equal_filenames_are_numbered() -> None:
    names = [part.filename for part in parse(multipart("mixed", TEXT, PDF, PDF, PDF)).attachments]
    assert names == ["a.pdf", "a (2).pdf", "a (3).pdf"]


def test_a_nested_message_is_an_attachment_that_can_be_opened() -> None:
    inner = b"From: ada@example.com\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\nInner text\r\n"
    parsed = parse(multipart("mixed", TEXT, b"Content-Type: message/rfc822\r\n\r\n" + inner))
    (nested,) = parsed.attachments
    assert (nested.filename, nested.content_type, parsed.body_text) == (
        "attachment-1.eml",
        "message/rfc822",
        "Hello",
    )
    assert parse(nested.content).subject == "Grüße"
    assert parse(nested.content).body_text == "Inner text"


def test_a_delivery_report_keeps_its_machine_readable_part() -> None:
    status = b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\nAction: failed\r\n"
    (part,) = parse(multipart("report", TEXT, status)).attachments
    assert b"Reporting-MTA: dns; mx" in part.content
    assert b"Action: failed" in part.content


@pytest.mark.parametrize(
    ("header", "addresses"),
    [
        ("a@example.com, B <b@example.com>", ("a@example.com", "b@example.com")),
        ("undisclosed-recipients:;", ()),
        ("Team: a@example.com, B <b@example.com>;", ("a@example.com", "b@example.com")),
        ('"Doe, Jane" <jane@example.com>', ("jane@example.com",)),
        ("jürgen@bücher.example", ("jürgen@bücher.example",)),
        ("<a@example.com", ("a@example.com",)),
        ("", ()),
    ],
)
def test_recipients(header: str, addresses: tuple[str, ...]) -> None:
    assert parse(mail(f"To: {header}", "", "")).to == addresses


def test_recipients_within_thousands_of_comments() -> None:
    assert parse(mail("To: " + "(" * 5000 + "a@example.com", "", "")).to == ("a@example.com",)


def test_several_to_headers_count_together() -> None:
    assert parse(mail("To: a@example.com", "To: b@example.com", "", "")).to == (
        "a@example.com",
        "b@example.com",
    )


def test_without_a_sender() -> None:
    parsed = parse(mail("Subject: who am I", "", "text"))
    assert (parsed.from_address, parsed.from_display_name) == (None, None)
    assert parse(mail("Sender: list@example.com", "", "")).from_address == "list@example.com"


def test_of_two_message_ids_the_first_counts() -> None:
    assert parse(mail("Message-ID: <one@a>", "Message-ID: <two@a>", "", "")).message_id == "<one@a>"


def test_a_message_id_without_brackets_gets_them() -> None:
    assert parse(mail("Message-ID: bare@example.com", "", "")).message_id == "<bare@example.com>"


def test_a_missing_boundary_leaves_the_text_readable() -> None:
    assert "hidden" in (parse(mail("Content-Type: multipart/mixed", "", "hidden text")).body_text or "")
    parsed = parse(mail("Content-Type: multipart/mixed; boundary=never", "", "hidden text"))
    assert "hidden" in (parsed.body_text or "")


def test_an_unclosed_multipart_is_read_to_its_end() -> None:
    assert (
        parse(multipart("mixed", TEXT, PDF).removesuffix(b"--frontier--\r\n")).attachments[0].content
        == b"hello"
    )


@pytest.mark.parametrize("depth", [30, 60, 500, 2000])
def test_deep_nesting_ends_somewhere(depth: int) -> None:
    raw = TEXT
    for level in range(depth):
        raw = multipart("mixed", raw, boundary=f"b{level}")
    parsed = parse(mail("Subject: deep") + b"\r\n" + raw)
    assert parsed.subject == "deep"
    if depth == 30:
        assert parsed.body_text == "Hello"


def test_nested_messages_end_somewhere() -> None:
    raw = b"Content-Type: message/rfc822\r\n\r\n" * 3000 + b"Subject: x\r\n\r\ny"
    assert isinstance(parse(b"Subject: outer\r\n" + raw), ParsedMessage)


def test_header_lists_of_a_megabyte() -> None:
    raw = b"Subject: long\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(50_000))
    raw += b"Content-Type: text/plain; " + b";" * 1_000_000 + b'"' + b"\r\n"
    raw += b"To: " + b", ".join(b"u%d@example.com" % number for number in range(30_000)) + b"\r\n\r\nbody"
    parsed = parse(raw)
    assert (parsed.subject, parsed.body_text) == ("long", "body")
    assert parsed.to[0] == "u0@example.com"


@pytest.mark.parametrize(
    "raw", [b"", b"\r\n", b"\x00" * 100, b"\xff" * 100, b"no header at all", b": :\r\n: \r\n\r\n"]
)
def test_not_mail_at_all(raw: bytes) -> None:
    assert isinstance(parse(raw), ParsedMessage)
