"""One signed POST to a receiver, and what came of it."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field

import aiohttp

from inkbox_async.sandbox.session import local_session
from inkbox_async.sandbox.settings import Settings
from inkbox_async.webhooks.signature import signed_headers

from .destinations import refusal

TIMEOUT = 10.0
"""Seconds a receiver has for its answer: real ones, for it works in real time."""

MAX_ANSWER_BYTES = 64 * 1024
USER_AGENT = "inkbox-sandbox"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one POST.

    Attributes:
        request_id: Value of `X-Inkbox-Request-ID`.
        signed: Whether there was a key to sign with.
        status: HTTP status of the answer; None when there was none.
        body: The answer's body, the first 64 KB of it.
        error: Why there was no answer.
        refused: True when it was not even tried, because the address is not on this machine.
        duration_ms: How long it took, in real milliseconds.
    """

    request_id: str
    signed: bool
    status: int | None = None
    body: bytes | None = field(default=None, repr=False)
    error: str | None = None
    refused: bool = False
    duration_ms: int = 0

    @property
    def is_success(self) -> bool:
        """True for every 2xx answer."""
        return self.status is not None and 200 <= self.status < 300


class Poster:
    """Sends signed bodies. Whoever made it closes it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(
        self,
        url: str,
        payload: bytes,
        secret: str | None,
        *,
        token: str | None = None,
        timeout: float = TIMEOUT,
    ) -> Outcome:
        """Send one body. Failures are part of the outcome, never exceptions.

        Args:
            url: Where to. Redirects are not followed.
            payload: The body, JSON.
            secret: The signing key; None sends it unsigned.
            token: A bearer token (RFC 6750) that the receiver asks for.
            timeout: Seconds until the answer must be there.
        """
        request_id = str(uuid.uuid4())
        signed = secret is not None
        if (reason := refusal(url, self._settings)) is not None:
            return Outcome(request_id, signed, error=reason, refused=True)
        # Receivers compare with their own clock: this is real time, however far the sandbox's was moved.
        headers = signed_headers(
            payload=payload, request_id=request_id, timestamp=int(time.time()), secret=secret
        )
        headers |= {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        started = time.monotonic()
        try:
            async with asyncio.timeout(timeout):
                status, body = await self._send(url, payload, headers)
        except TimeoutError:
            return Outcome(
                request_id, signed, error=f"No answer within {timeout:g} seconds", duration_ms=_since(started)
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(request_id, signed, error=reason_of(error), duration_ms=_since(started))
        return Outcome(request_id, signed, status, body, duration_ms=_since(started))

    async def _send(self, url: str, payload: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        if self._session is None:
            self._session = local_session(
                self._settings,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        async with self._session.post(url, data=payload, headers=headers, allow_redirects=False) as response:
            body = b""
            async for piece in response.content.iter_any():
                body += piece
                if len(body) >= MAX_ANSWER_BYTES:
                    break
            return response.status, body[:MAX_ANSWER_BYTES]


def reason_of(error: Exception) -> str:
    """Why something could not be sent, without the address, which may hold a token."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"it answered {error.status}"
    return (not isinstance(error, aiohttp.InvalidURL) and str(error)) or type(error).__name__


def _since(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
