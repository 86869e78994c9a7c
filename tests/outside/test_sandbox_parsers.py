"""What the sandbox reads: cursors, addresses, numbers, times, sound, frames of agents, command lines."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import re
import wave
from contextlib import suppress
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from inkbox_async.__main__ import main as client_main
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.__main__ import _parser as sandbox_parser
from inkbox_async.sandbox.clock import Clock
from inkbox_async.sandbox.e164 import check_number, is_e164
from inkbox_async.sandbox.handles import parse_handle
from inkbox_async.sandbox.handling import ApiError
from inkbox_async.sandbox.journal import Journal
from inkbox_async.sandbox.loopback import refuse_strangers
from inkbox_async.sandbox.mail.addresses import comparable, normalise_address, normalise_domain
from inkbox_async.sandbox.mail.cursors import decode_cursor, encode_cursor
from inkbox_async.sandbox.mail.html_text import html_to_text
from inkbox_async.sandbox.mail.periods import end_of, first_instant, zone_of
from inkbox_async.sandbox.mail.references import message_ids
from inkbox_async.sandbox.mail.signatures import sanitise
from inkbox_async.sandbox.phone.audio import mu_law_of_wav
from inkbox_async.sandbox.phone.conversing import Conversation
from inkbox_async.sandbox.phone.handshake import Line
from inkbox_async.sandbox.phone.media import Unreachable, _from_data_url
from inkbox_async.sandbox.webhooks.destinations import refusal
from inkbox_async.tunnels.cli import load_target

from .damage import JSON, damaged, damaged_text

TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
CURSORS = (encode_cursor("2025-01-01T00:00:00.000000Z", 5), encode_cursor("x", "6f9619ff"))


def _spelled(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(cursor=TEXT | damaged_text(CURSORS) | st.tuples(st.text(max_size=5), JSON).map(_spelled))
@example(cursor="é")
def test_every_cursor_names_a_place_or_is_refused(cursor: str) -> None:
    with suppress(ApiError):
        sort_key, tie_breaker = decode_cursor(cursor)
        assert decode_cursor(encode_cursor(sort_key, tie_breaker)) == (sort_key, tie_breaker)
        sort_key.encode()
        if isinstance(tie_breaker, int):
            assert abs(tie_breaker) < 2**63, "SQLite has no larger numbers"
        else:
            tie_breaker.encode()


HOSTILE_CURSORS = [
    _spelled(value)
    for value in (["x", 10**30], ["\ud800", 1], ["x", "\ud800"], ["x", True], ["x\0", 1], [[], 1])
]


@pytest.mark.parametrize("cursor", HOSTILE_CURSORS)
async def test_no_cursor_breaks_the_sandbox(inkbox_sandbox: Sandbox, cursor: str) -> None:
    async with inkbox_sandbox.client() as inkbox, aiohttp.ClientSession() as session:
        identity = await inkbox.create_identity("cursor-bot")
        for path in ("messages", "threads"):
            url = f"{inkbox_sandbox.base_url}/api/v1/mail/mailboxes/{identity.email_address}/{path}"
            headers = {"X-API-Key": inkbox_sandbox.api_key}
            async with session.get(url, params={"cursor": cursor}, headers=headers) as answer:
                assert answer.status in (200, 422), await answer.text()


@given(text=TEXT | damaged_text(("ann@example.com", '"a b"@münchen.example', "a@b.c", "@x", "xn--a.example")))
@example(text="a@" + "é" * 250 + ".example")
@example(text="a@xn--" + "9" * 60 + ".example")
def test_every_text_is_an_address_a_domain_a_number_a_handle_or_not(text: str) -> None:
    with suppress(ValueError):
        address = normalise_address(text)
        assert normalise_address(address) == address
    assert comparable(comparable(text)) == comparable(text)
    with suppress(ValueError):
        assert normalise_domain(normalise_domain(text)) == normalise_domain(text)
    with suppress(ApiError):
        assert is_e164(check_number(text))
    with suppress(ApiError):
        assert parse_handle(text).isascii()
    message_ids(text)
    refusal(text, Sandbox().settings)


TIMES = ("2025-01-01", "2025-01-01T10:00:00+02:00", "0001-01-01", "9999-12-31", "2025-W01", "20250101T00Z")


@given(
    text=TEXT | damaged_text(TIMES),
    zone=TEXT | st.sampled_from(["Europe/Berlin", "America", "/etc/passwd", ".", "", "UTC", "a\0"]),
)
@example(text="9999-12-31", zone="America/New_York")
@example(text="0001-01-01T00:00:00", zone="Asia/Tokyo")
def test_every_text_is_an_instant_or_is_refused(text: str, zone: str) -> None:
    with suppress(ApiError):
        found = zone_of(zone)
        assert isinstance(first_instant(text, found, "start_datetime"), datetime)
        assert isinstance(end_of(text, found, "end_datetime")[0], datetime)


@given(
    source=TEXT | damaged_text(("<p>Hi<br>there</p><!-- x --><style>a</style>", "&amp;&#x110000;&#xd800;"))
)
@example(source="<" * 20_000)
@example(source="<!--" * 20_000)
@example(source="<style>" * 20_000)
@example(source="&" * 50_000)
@example(source="&#" + "9" * 5000)
@example(source="&#" + "0" * 5000 + "65;")
def test_every_page_has_a_text(source: str) -> None:
    assert len(html_to_text(source)) <= 4 * len(source) + 100


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("&#0000000065;&#x0000000042;&#67;", "ABC"),
        ("a&#99999999;b&#x99999999;c", "a\ufffdb\ufffdc"),
        ("&#" + "0" * 5000 + "65;", "A"),
        ("&#128512;&#00000128512;", "\U0001f600" * 2),
    ],
)
def test_character_references_of_every_length_are_read(source: str, text: str) -> None:
    assert html_to_text(source) == text


SIGNATURES = (
    "<p>Ann <a href='https://a.example' onclick=x>me</a></p>",
    "<img src='https://a/b.png'>",
    "<![CDATA[x]]>",
)


@given(source=TEXT | damaged_text(SIGNATURES))
@example(source="<![x[y]]>")
@example(source="<!x[")
@example(source="<a href='https://a&#" + "9" * 5000 + ";'>")
@example(source="<" * 5000)
def test_every_signature_is_made_harmless_or_refused(source: str) -> None:
    with suppress(ValueError):
        made = sanitise(source)
        assert not re.search(r"<[^>]*\bonclick", made, re.IGNORECASE)
        assert "<script" not in made.lower()
        assert sanitise(made) == made


def wav(channels: int = 1, width: int = 2, rate: int = 8000, count: int = 20) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(b"\1\2" * count)
    return file.getvalue()


@given(content=st.binary(max_size=80) | damaged([wav(), wav(count=0), wav(channels=2), wav(rate=16_000)]))
@example(content=b"RIFF\x00\x00\x00\x00WAVE")
@example(content=wav()[:40] + b"\xff\xff\xff\xff" + wav()[44:])
@example(content=wav().replace(b"\x01\x00\x01\x00", b"\x01\x00\x00\x00"))
@example(content=wav().replace(b"\x10\x00data", b"\x00\x00data"))
def test_every_file_is_sound_or_a_value_error(content: bytes) -> None:
    with suppress(ValueError):
        assert len(mu_law_of_wav(content)) <= len(content) // 2


@given(
    url=TEXT | damaged_text(("data:text/plain;base64,QQ==", "data:,a", "data:a/b;c=d,%00", "data:;base64,"))
)
@example(url="data:a\r\nX-Injected: 1,b")
@example(url="data:\ud800/x,b")
def test_every_data_address_is_a_file_or_unreachable(url: str) -> None:
    with suppress(Unreachable):
        file = _from_data_url(url)
        assert file.content is not None
        assert len(file.content) <= len(url.encode("utf-8", "surrogatepass"))
        file.content_type.encode("ascii")
        assert file.content_type.isprintable(), "it stands in a header"


class Socket:
    """A WebSocket to an agent that has said these things."""

    closed = False

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    async def __aiter__(self) -> Any:  # Any: an iterator of messages
        for text in self._texts:
            yield SimpleNamespace(type=aiohttp.WSMsgType.TEXT, data=text)


FRAMES = [
    json.dumps(frame)
    for frame in (
        {"event": "text", "delta": "Hello", "turn_id": "t"},
        {"event": "text", "done": True},
        {"event": "media", "media": {"payload": "QUJD", "track": "outbound"}},
        {"event": "audio_done"},
        {"event": "clear"},
        {"event": "transcript", "party": "remote", "text": "Hi", "is_final": True},
    )
]
EVENTS = st.fixed_dictionaries(
    {"event": st.sampled_from(["text", "media", "audio_done", "clear", "transcript", "stop"]) | JSON},
    optional=dict.fromkeys(("delta", "done", "media", "party", "text", "is_final", "turn_id"), JSON),
)


@given(
    texts=st.lists(
        TEXT | damaged_text(FRAMES) | st.sampled_from(FRAMES) | EVENTS.map(json.dumps), max_size=6
    ),
    tts=st.booleans(),
    stt=st.booleans(),
)
@example(texts=['{"event": "text", "delta": "\\ud800", "done": true}'], tts=True, stt=True)
@example(
    texts=["[" * 100_000, "9" * 5000, "NaN", '{"event": []}', '{"event": {"a": NaN}}'], tts=True, stt=False
)
def test_whatever_an_agent_says_in_a_call_is_taken_or_passed_over(
    texts: list[str], tts: bool, stt: bool
) -> None:
    said: list[str] = []

    async def remember(party: str, text: str) -> None:
        said.append(text)

    async def listen() -> Conversation:
        line = Line(Socket(texts), tts, stt)  # type: ignore[arg-type]
        conversation = Conversation(line, remember, Clock())
        await conversation.listen()
        return conversation

    conversation = asyncio.run(listen())
    for text in said:
        text.encode()
    for frame in conversation.frames:
        assert isinstance(json.loads(frame), dict)


@given(
    body=st.binary(max_size=60) | JSON.map(lambda v: json.dumps(v).encode()), name=TEXT, value=TEXT, path=TEXT
)
def test_every_request_can_be_journalled_and_shown(body: bytes, name: str, value: str, path: str) -> None:
    journal = Journal()
    journal.record(
        request_id="1",
        received_at=Clock().now(),
        method="POST",
        path=path,
        query=[(name, value), (name, value)],
        headers=[(name, value), ("Cookie", value)],
        content_type="application/json",
        body=body,
        status=200,
    )
    (entry,) = journal.entries()
    repr(entry)


@given(
    host=TEXT | damaged_text(("127.0.0.1:80", "[::1]:80", "localhost", "::ffff:127.0.0.1")),
    origin=st.none() | TEXT | st.sampled_from(["http://localhost", "null"]),
)
def test_every_request_is_from_here_or_from_a_stranger(host: str, origin: str | None) -> None:
    headers = CIMultiDict({"Host": host})
    if origin is not None:
        headers["Origin"] = origin
    request = SimpleNamespace(
        headers=headers, remote="127.0.0.1", host=host, path="/_sandbox/health", method="GET"
    )
    with suppress(ApiError):
        refuse_strangers(request)  # type: ignore[arg-type]


ARGUMENTS = (
    "--port",
    "--json",
    "--host",
    "--edge-limit",
    "--data",
    "8040",
    "-1",
    "closing_seconds=1",
    "--x=y",
    "\u0665",
    "\u00b2",
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=st.lists(st.sampled_from(ARGUMENTS) | TEXT, max_size=5))
@example(arguments=["--port", "9" * 5000])
@example(arguments=["--port", "\u00b2"])
def test_every_command_line_is_options_or_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        with suppress(SystemExit):
            options = sandbox_parser().parse_args(arguments)
            assert 0 <= options.port <= 65535
        with pytest.raises(SystemExit):
            client_main(["no-such-command", *arguments])


@given(
    text=st.text(st.sampled_from([*".:/ax\0é "]), max_size=8)
    | damaged_text(("no_such_module_here:app", "http://127.0.0.1:1"))
)
@example(text=".relative:app")
@example(text="..:app")
@example(text="json:")
@example(text="json:loads.")
@example(text="no\0such:app")
def test_every_target_is_a_url_an_application_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        target = load_target(text)
        assert isinstance(target, str) or callable(target)
