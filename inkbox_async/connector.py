"""aiohttp's connector, made wary of what nobody asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class WaryConnector(aiohttp.TCPConnector):
    """A connector that uses no connection again on which something came unasked.

    aiohttp would take it for the answer to the next request: a second answer to the last one, or the good-bye
    of a gateway.
    """

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()
        return None
