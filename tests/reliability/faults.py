"""The table of faults: what goes wrong, on the wire and at the server, and what it means to the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .proxy import Act, Line

ELSEWHERE = "http://elsewhere.invalid/api/v1/notes"
PAGE = b"<!doctype html><html><title>Welcome to the hotel</title></html>"


class Meaning(Enum):
    """What a fault is to the client; `test_faults.expected` says what has to come of it."""

    NONE = "the answer comes, only oddly"
    NOT_SENT = "the request surely never left"
    LOST = "no answer, and nobody knows whether the request was carried out"
    LATE = "the same, after the time-out"
    BUSY = "an answer that asks to try again"
    FINAL = "an answer that is the last word"
    GARBLED = "a success whose body is not even what the documents speak"
    STRANGE = "a success whose body is readable, but not what the documents describe"


async def reset(line: Line) -> None:
    line.reset()


async def hang_up(line: Line) -> None:
    await line.close()


async def reset_when_bytes_come(line: Line) -> None:
    await line.reader.read(1)
    line.reset()


async def lose_the_answer(line: Line) -> None:
    await line.answer()
    line.reset()


async def cut_in_the_head(line: Line) -> None:
    answer = await line.answer()
    await line.say(answer.head[: len(answer.head) // 2])
    await line.close()


async def reset_in_the_head(line: Line) -> None:
    answer = await line.answer()
    await line.say(answer.head[: len(answer.head) // 2])
    line.reset()


async def cut_in_the_body(line: Line) -> None:
    answer = await line.answer()
    await line.say(answer.head + answer.body[: len(answer.body) // 2])
    await line.close()


async def reset_in_the_body(line: Line) -> None:
    answer = await line.answer()
    await line.say(answer.head + answer.body[: len(answer.body) // 2])
    line.reset()


async def keep_silent(line: Line) -> None:
    await line.answer()
    await line.reader.read()


async def stall_in_the_head(line: Line) -> None:
    answer = await line.answer()
    await line.say(answer.head[: len(answer.head) // 2])
    await line.reader.read()


async def stall_in_the_body(line: Line) -> None:
    answer = await line.answer()
    await line.say(answer.head + answer.body[: len(answer.body) // 2])
    await line.reader.read()


async def read_nothing(line: Line) -> None:
    await asyncio.Event().wait()


async def speak_ssh(line: Line) -> None:
    await line.say(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    await line.close()


async def speak_noise(line: Line) -> None:
    await line.say(bytes(range(256)) * 4)
    await line.close()


async def halve_the_json(line: Line) -> None:
    answer = await line.answer()
    await line.say(answer.with_body(answer.body[: len(answer.body) // 2]))


async def show_a_page(line: Line) -> None:
    await line.say(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE)
    )


async def answer_nothing(line: Line) -> None:
    await line.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n")


async def trickle(line: Line) -> None:
    answer = await line.answer()
    piece = max(1, len(answer.whole) // 2000)
    for start in range(0, len(answer.whole), piece):
        await line.say(answer.whole[start : start + piece])
        await asyncio.sleep(0)


async def refuse_early(line: Line) -> None:
    await line.reader.readuntil(b"\r\n\r\n")
    await line.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await line.close()


async def leave_out_the_length(line: Line) -> None:
    answer = await line.answer()
    await line.say(answer.without_length + answer.body)
    await line.close()


async def cut_without_a_length(line: Line) -> None:
    answer = await line.answer()
    await line.say(answer.without_length + answer.body[: len(answer.body) // 2])
    await line.close()


async def hint_first(line: Line) -> None:
    await line.say(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    await line.say((await line.answer()).whole)


async def answer_twice(line: Line) -> None:
    answer = await line.answer()
    # Long answers come in pieces: the second might not be there yet when the client sends its next request.
    await line.say(answer.whole * (2 if len(answer.whole) < 16_384 else 1))


@dataclass(frozen=True, slots=True)
class WireFault:
    """Something a proxy does on the way.

    Attributes:
        name: What it is, in words.
        meaning: What it is to the client.
        act: How the proxy does it. None: nobody listens at the port, or (`crowded`) nobody can get through.
        carried_out: Whether the server carries the request out all the same.
        at_connection: It hits connections, not requests.
        in_the_body: It needs an answer with a body.
    """

    name: str
    meaning: Meaning
    act: Act | None = None
    carried_out: bool = False
    at_connection: bool = False
    in_the_body: bool = False
    crowded: bool = False

    @property
    def keeps_waiting(self) -> bool:
        """Whether only a time-out ends it."""
        return self.crowded or self.meaning is Meaning.LATE

    def __str__(self) -> str:
        return self.name


def _wire(name: str, meaning: Meaning, act: Act | None = None, **about: bool) -> WireFault:
    return WireFault(name.replace(",", "").replace(" ", "-"), meaning, act, **about)


WIRE_FAULTS = (
    _wire("nobody listens", Meaning.NOT_SENT),
    _wire("nobody gets through", Meaning.NOT_SENT, crowded=True),
    _wire("hung up when bytes come", Meaning.LOST, reset_when_bytes_come, at_connection=True),
    _wire("reads nothing", Meaning.LATE, read_nothing, at_connection=True),
    _wire("reset after the request", Meaning.LOST, reset),
    _wire("hung up after the request", Meaning.LOST, hang_up),
    _wire("answer lost", Meaning.LOST, lose_the_answer, carried_out=True),
    _wire("cut in the head", Meaning.LOST, cut_in_the_head, carried_out=True),
    _wire("reset in the head", Meaning.LOST, reset_in_the_head, carried_out=True),
    _wire("cut in the body", Meaning.LOST, cut_in_the_body, carried_out=True, in_the_body=True),
    _wire("reset in the body", Meaning.LOST, reset_in_the_body, carried_out=True, in_the_body=True),
    _wire("silent after the request", Meaning.LATE, keep_silent, carried_out=True),
    _wire("stalls in the head", Meaning.LATE, stall_in_the_head, carried_out=True),
    _wire("stalls in the body", Meaning.LATE, stall_in_the_body, carried_out=True, in_the_body=True),
    _wire("speaks SSH", Meaning.LOST, speak_ssh),
    _wire("speaks noise", Meaning.LOST, speak_noise),
    _wire("half the JSON", Meaning.GARBLED, halve_the_json, carried_out=True, in_the_body=True),
    _wire("a page for people", Meaning.GARBLED, show_a_page),
    _wire("an empty answer", Meaning.GARBLED, answer_nothing, in_the_body=True),
    _wire("cut, and no length", Meaning.GARBLED, cut_without_a_length, carried_out=True, in_the_body=True),
    _wire("no length", Meaning.NONE, leave_out_the_length, carried_out=True, in_the_body=True),
    _wire("a trickle", Meaning.NONE, trickle, carried_out=True),
    _wire("a hint first", Meaning.NONE, hint_first, carried_out=True),
    _wire("answers twice", Meaning.NONE, answer_twice, carried_out=True),
)


@dataclass(frozen=True, slots=True)
class ServerFault:
    """Something the sandbox is told to do instead of carrying a request out.

    Attributes:
        name: What it is, in words.
        meaning: What it is to the client.
        arguments: Of `sandbox.faults.add`, and of `POST /_sandbox/faults`.
        in_the_body: It is about the body of an answer that has one.
    """

    name: str
    meaning: Meaning
    arguments: Mapping[str, Any] = field(repr=False)  # Any: JSON
    in_the_body: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def status(self) -> int | None:
        """The status that the client is told."""
        status: int | None = self.arguments.get("status")
        return status


def _server(
    name: str,
    meaning: Meaning,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    in_the_body: bool = False,
    **arguments: Any,  # Any: JSON
) -> ServerFault:
    if status is not None:
        arguments |= {"status": status, "headers": {} if headers is None else dict(headers)}
    return ServerFault(name.replace(" ", "-"), meaning, arguments, in_the_body)


SERVER_FAULTS = (
    _server("drop", Meaning.LOST, drop=True),
    _server("429", Meaning.BUSY, 429),
    _server("429 and at once again", Meaning.BUSY, 429, {"Retry-After": "0"}),
    _server("429 and much later again", Meaning.FINAL, 429, {"Retry-After": "3600"}),
    _server("502", Meaning.BUSY, 502),
    _server("503", Meaning.BUSY, 503),
    _server("503 by a gateway", Meaning.BUSY, 503, {"Content-Type": "text/html"}, body="<h1>Busy</h1>"),
    _server("504", Meaning.BUSY, 504),
    _server("500", Meaning.FINAL, 500),
    _server("404", Meaning.FINAL, 404),
    _server("307 to elsewhere", Meaning.FINAL, 307, {"Location": ELSEWHERE}),
    _server("302 to elsewhere", Meaning.FINAL, 302, {"Location": ELSEWHERE}),
    _server("307 to nowhere", Meaning.FINAL, 307),
    _server("a text", Meaning.STRANGE, 200, {"Content-Type": "text/plain"}, True, body="Welcome"),
    _server("another object", Meaning.STRANGE, 200, None, True, body={"hello": "world"}),
    _server("a list", Meaning.STRANGE, 200, None, True, body=[1, 2, 3]),
)
