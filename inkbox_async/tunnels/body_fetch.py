"""Fetches request bodies that the edge put aside instead of sending them inline."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

import aiohttp
import yarl

from ..connector import WaryConnector
from .connection import edge_context
from .exceptions import LocalAnswer
from .protocol import SdkReason

FETCH_TIMEOUT: Final = 30.0
_PIECE: Final = 1 << 16


class FetchedBody:
    """A body while it is being fetched; see `Body`."""

    whole = None

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        count: Callable[[int], None],
        fail: Callable[[LocalAnswer], None],
    ) -> None:
        self._response = response
        self._count = count
        self._fail = fail
        self.arrived_at = 0.0
        """When the last piece was read, on the event loop's clock."""

    async def read(self) -> bytes:
        """The next piece; see `Body.read`."""
        try:
            piece = await self._response.content.read(_PIECE)
        except (aiohttp.ClientError, TimeoutError) as error:
            self._fail(_failed())
            raise ConnectionResetError("the request body could not be fetched to its end") from error
        self.arrived_at = asyncio.get_running_loop().time()
        self._count(len(piece))
        return piece

    def close(self) -> None:
        """Stop fetching."""
        self._response.close()


class BodyFetcher:
    """Makes plain GET requests: no credentials, no cookies, no redirects.

    Args:
        extra_ca: Authorities (PEM) to trust besides the system's.
    """

    def __init__(self, extra_ca: bytes | None = None) -> None:
        self._extra_ca = extra_ca
        self._session: aiohttp.ClientSession | None = None

    async def open(
        self, uri: str, count: Callable[[int], None], fail: Callable[[LocalAnswer], None]
    ) -> FetchedBody:
        """Begin to fetch a body.

        Args:
            uri: Absolute URL, as the edge gave it.
            count: Told the size of each piece; raises when they are too many.
            fail: Told what to answer when the body breaks off.

        Raises:
            LocalAnswer: The body could not be had.
        """
        if self._session is None:
            # Reading the system's authorities takes many milliseconds.
            context = await asyncio.to_thread(edge_context, self._extra_ca)
            if self._session is None:
                self._session = _session(context)
        try:
            response = await self._session.get(yarl.URL(uri, encoded=True), allow_redirects=False)
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise _failed() from error
        if response.status >= 400:
            response.close()
            raise _failed()
        return FetchedBody(response, count, fail)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


def _session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=WaryConnector(ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=FETCH_TIMEOUT, sock_read=FETCH_TIMEOUT),
    )


def _failed() -> LocalAnswer:
    return LocalAnswer(502, "failed to fetch request body", SdkReason.BODY_FETCH_FAILED)
