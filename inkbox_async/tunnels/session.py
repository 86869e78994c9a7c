"""One session with the edge: the hello, the pool of parked intakes, and how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from ..errors import TunnelSupersededError
from .connection import DuplexStream, EdgeConnection, dial
from .exceptions import TunnelAuthenticationError
from .http2 import MAX_STREAM_ID, ErrorCode
from .protocol import (
    GOAWAY_SUPERSEDED,
    DataPlane,
    EdgeReason,
    Envelope,
    Headers,
    Hello,
    parse_envelope,
    parse_hello,
    response_head_size,
)

logger = logging.getLogger("inkbox_async.tunnels")

HELLO_TIMEOUT = 15.0
POST_ANSWER_TIMEOUT = 30.0
_SWEEP_INTERVAL = 10.0
_HELLO_BODY_LIMIT = 1 << 16
_LAST_COMFORTABLE_STREAM_ID = MAX_STREAM_ID - (1 << 16)


class SessionFault(Exception):
    """A session that could not start or broke; another attempt may succeed."""


class Outcome(Enum):
    """Why a session stopped taking requests."""

    DRAIN = "drain"
    SUPERSEDED = "superseded"
    FAULT = "fault"


@dataclass(frozen=True)
class EdgeAddress:
    """Where and how to dial the edge."""

    host: str
    port: int
    context: ssl.SSLContext | None


class AnswerStream(DuplexStream):
    """A stream whose owner waits for the head of its answer."""

    __slots__ = ("answer",)

    def __init__(self, connection: EdgeConnection) -> None:
        super().__init__(connection)
        self.answer: asyncio.Future[Headers] = asyncio.get_running_loop().create_future()

    def headers_received(self, headers: Headers, ended: bool) -> None:
        self.ended = ended
        if not self.answer.done():
            self.answer.set_result(headers)

    def reset_received(self, code: int) -> None:
        super().reset_received(code)
        if not self.answer.done():
            self.answer.set_exception(ConnectionResetError("the edge gave the stream up"))
            self.answer.exception()


class IntakeStream(DuplexStream):
    """One parked request for work; once answered, the body of the work is read from it."""

    __slots__ = ("arrived_at", "envelope", "session", "slot")

    def __init__(self, session: Session, slot: int) -> None:
        super().__init__(session.connection)
        self.session = session
        self.slot = slot
        self.envelope: Envelope | None = None
        self.arrived_at = 0.0
        """When the last of the body so far arrived, on the event loop's clock."""

    def data_received(self, data: bytes, ended: bool) -> None:
        self.arrived_at = self.connection.time()
        super().data_received(data, ended)

    def headers_received(self, headers: Headers, ended: bool) -> None:
        self.ended = ended
        self.session.intake_answered(self, headers)

    def reset_received(self, code: int) -> None:
        super().reset_received(code)
        if self.envelope is None:
            self.session.intake_failed(self.slot)


class PostStream(DuplexStream):
    """One response on its way to the edge.

    Args:
        on_reset: Called when the response cannot be completed here; its argument tells whether the edge
            surely has not taken it (the connection was lost, or the stream refused), so that it may be
            posted again elsewhere.
    """

    __slots__ = ("_on_reset", "sent_at")

    def __init__(self, connection: EdgeConnection, on_reset: Callable[[bool], None]) -> None:
        super().__init__(connection)
        self._on_reset: Callable[[bool], None] | None = on_reset
        self.sent_at = connection.time()

    def headers_received(self, headers: Headers, ended: bool) -> None:
        status = int(headers[0][1])
        if status >= 400:
            logger.info("tunnel: the edge no longer wanted a response (status %d)", status)
        if self.local_closed:
            self._on_reset = None
        elif status >= 400:
            self.reset()

    def data_received(self, data: bytes, ended: bool) -> None:
        """The answer's body says nothing; it is credited and forgotten."""
        if data:
            self.connection.credit(self, len(data))

    def reset_received(self, code: int) -> None:
        super().reset_received(code)
        on_reset, self._on_reset = self._on_reset, None
        if on_reset is not None:
            on_reset(self.connection.closed or code == ErrorCode.REFUSED_STREAM)


class Session:
    """One connection to the edge, from hello to its end.

    Args:
        plane: Builds the header lists.
        address: Where to dial.
        pool_size: Wished number of parked intakes, or None for the edge's choice.
        on_envelope: Called with the intake of each piece of work; its `envelope` is set.
    """

    def __init__(
        self,
        plane: DataPlane,
        address: EdgeAddress,
        *,
        pool_size: int | None,
        on_envelope: Callable[[IntakeStream], None],
        ping_interval: float,
        ping_timeout: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.plane = plane
        self._address = address
        self._wished_pool_size = pool_size
        self._on_envelope = on_envelope
        self.outcome: asyncio.Future[Outcome] = self._loop.create_future()
        self.fault: Exception | None = None
        self.draining = False
        self.hello: Hello | None = None
        self.connection = EdgeConnection(
            on_goaway=self._goaway,
            on_closed=self._connection_closed,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
        )
        self._failures = 0
        self._held = 0
        self._timers: set[asyncio.TimerHandle] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    # Starting

    async def start(self) -> None:
        """Dial, say hello, and park the intakes.

        Raises:
            TunnelAuthenticationError: The edge rejected the API key.
            TunnelSupersededError: Another listener said hello meanwhile.
            SessionFault: Anything that another attempt may mend.
        """
        try:
            await dial(self._address.host, self._address.port, self._address.context, self.connection)
        except TimeoutError as error:
            raise SessionFault("the edge could not be reached in time") from error
        except ssl.SSLCertVerificationError as error:
            raise SessionFault(
                f"the edge's certificate is not trusted ({error.verify_message}); "
                "a private edge needs `ca` or INKBOX_CA_BUNDLE"
            ) from error
        except OSError as error:
            raise SessionFault(
                f"the edge could not be reached: {str(error) or type(error).__name__}"
            ) from error
        try:
            async with asyncio.timeout(HELLO_TIMEOUT):
                self.hello = await self._say_hello()
        except TimeoutError as error:
            self.connection.abort()
            raise SessionFault("the edge did not answer the hello in time") from error
        except BaseException:
            self.connection.close()
            raise
        self._sweeper = self._loop.call_later(_SWEEP_INTERVAL, self._sweep)
        room = self.connection.http2.max_concurrent_streams // 2
        for slot in range(min(self.hello.pool_size, max(1, room))):
            self._park(slot)

    async def _say_hello(self) -> Hello:
        stream = AnswerStream(self.connection)
        self.connection.open(stream, self.plane.hello(self._wished_pool_size), end_stream=True)
        try:
            headers = await stream.answer
            body = b""
            while piece := await stream.read():
                body += piece
                if len(body) > _HELLO_BODY_LIMIT:
                    raise SessionFault("the edge's answer to the hello is too long")
        except ConnectionResetError as error:
            raise SessionFault(f"the connection ended during the hello: {self.fault or error}") from error
        status = int(headers[0][1])
        document = document_of(body)
        if status in (401, 403):
            raise TunnelAuthenticationError(
                f"the edge rejected the API key for this tunnel (status {status}); use an admin key of the "
                "organization or an agent key of the tunnel's identity"
            )
        reason = document.get("reason") if isinstance(document, dict) else None
        if status == 409 and reason == EdgeReason.HELLO_SUPERSEDED:
            raise TunnelSupersededError("another listener connected to this tunnel")
        hello = parse_hello(document, self._wished_pool_size) if status == 200 else None
        if hello is None:
            raise SessionFault(f"the edge is not ready (hello answered with status {status})")
        return hello

    # The pool

    def _park(self, slot: int) -> None:
        if self.draining or self.connection.closed or self.hello is None:
            return
        http2 = self.connection.http2
        if not http2.can_open:
            self._park_later(slot, 0.05)
            return
        if http2.next_stream_id > _LAST_COMFORTABLE_STREAM_ID:
            self._end(Outcome.DRAIN)
            return
        headers = self.plane.intake(self.hello.owner_token, slot)
        self.connection.open(IntakeStream(self, slot), headers, end_stream=True)

    def _park_later(self, slot: int, delay: float) -> None:
        def fire() -> None:
            self._timers.discard(handle)
            self._park(slot)

        handle = self._loop.call_later(delay, fire)
        self._timers.add(handle)

    def intake_answered(self, intake: IntakeStream, headers: Headers) -> None:
        """Hand the work on and park the slot again, or find out why there is none."""
        status = headers[0][1]
        if status == b"200":
            envelope = parse_envelope(headers)
            if envelope is not None:
                self._failures = 0
                intake.envelope = envelope
                self._park(intake.slot)
                self._on_envelope(intake)
                return
        reasons = [field[1] for field in headers if field[0] == b"inkbox-reason"]
        reason = reasons[0].decode("latin-1") if reasons else ""
        if not intake.ended:
            self.connection.reset(intake)
        if reason == EdgeReason.INTAKE_SUPERSEDED:
            self._end(Outcome.SUPERSEDED)
        elif status == b"401":
            self._fault(SessionFault("the edge no longer knows this session's token"))
        elif status == b"408" or reason == EdgeReason.INTAKE_IDLE_CAP:
            self._park(intake.slot)
        else:
            self.intake_failed(intake.slot)

    def intake_failed(self, slot: int) -> None:
        """Park a slot again whose intake brought nothing; when that goes on, not in a tight loop."""
        if self.draining or self.connection.closed:
            return
        self._failures += 1
        if self._failures <= 2 * (self.hello.pool_size if self.hello else 1):
            self._park(slot)
        else:
            self._park_later(slot, min(0.05 * 2 ** min(self._failures // 32, 7), 5.0))

    def takes_head(self, headers: Headers) -> bool:
        """Whether the edge takes a response with these headers; larger ones would end the connection."""
        return response_head_size(headers) <= self.connection.http2.max_header_list_size

    # The end

    def _goaway(self, code: int, last_stream_id: int, debug: bytes) -> None:
        if code == 0:
            self._end(Outcome.DRAIN)
        elif code == GOAWAY_SUPERSEDED or _reason(debug) == EdgeReason.SUPERSEDED:
            self._end(Outcome.SUPERSEDED)
        else:
            self._fault(SessionFault(f"the edge ended the connection with error {code:#x}"))

    def _connection_closed(self, error: Exception | None) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.fault = self.fault or error or SessionFault("the edge closed the connection")
        self._end(Outcome.FAULT)

    def _fault(self, error: Exception) -> None:
        self.fault = self.fault or error
        if not self.draining:
            self.connection.abort(error)
        self._end(Outcome.FAULT)

    def _end(self, outcome: Outcome) -> None:
        if outcome is Outcome.DRAIN:
            self.draining = True
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def hold(self) -> None:
        """Keep a draining connection open for an exchange that has no stream at the moment."""
        self._held += 1

    def release(self) -> None:
        """The exchange of `hold` is over."""
        self._held -= 1

    @property
    def is_busy(self) -> bool:
        """Whether anything but parked intakes is still going on."""
        if self.connection.closed:
            return False
        return self._held > 0 or any(
            not isinstance(stream, IntakeStream) or stream.envelope is not None
            for stream in self.connection.http2.streams.values()
        )

    async def retire(self, limit: float) -> None:
        """Let a draining session finish what it has, for at most `limit` seconds, then close it."""
        self.draining = True
        give_up = self._loop.time() + limit
        while self.is_busy and self._loop.time() < give_up:
            await self.connection.wait_closed(0.1, abort=False)
        self.close()

    def close(self) -> None:
        """Close the connection after what is waiting to be sent."""
        self.draining = True
        self.connection.close()

    def _sweep(self) -> None:
        """Forget responses that the edge never acknowledged."""
        oldest = self._loop.time() - POST_ANSWER_TIMEOUT
        for stream in list(self.connection.http2.streams.values()):
            if isinstance(stream, PostStream) and stream.local_closed and stream.sent_at < oldest:
                logger.warning("tunnel: the edge did not acknowledge a response in %g s", POST_ANSWER_TIMEOUT)
                stream.reset()
        self._sweeper = self._loop.call_later(_SWEEP_INTERVAL, self._sweep)


def document_of(body: bytes) -> object:
    """The JSON that the edge has sent; None for what is none."""
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None


def _reason(debug: bytes) -> object:
    document = document_of(debug)
    return document.get("reason") if isinstance(document, dict) else None
