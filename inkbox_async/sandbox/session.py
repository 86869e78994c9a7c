"""An HTTP client session that finds the sandbox's public names and trusts its certificate authority."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from inkbox_async.connector import WaryConnector

from .settings import Settings


def local_session(
    settings: Settings, **arguments: Any
) -> aiohttp.ClientSession:  # Any: aiohttp's own settings
    """A session for the sandbox's tunnels and API; `arguments` are `aiohttp.ClientSession`'s."""
    context = ssl.create_default_context()
    if (ca := settings.ca_cert_path) is not None:
        context.load_verify_locations(ca)
    connector = WaryConnector(resolver=_SandboxResolver(settings), ssl=context)
    return aiohttp.ClientSession(connector=connector, **arguments)


class _SandboxResolver(AbstractResolver):
    """`*.localhost` (RFC 6761) is this machine, the sandbox's public domain is its edge."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._others = aiohttp.DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a name."""
        domain = self._settings.public_domain
        if domain is not None and host.endswith(f".{domain}"):
            return [_address(host, self._settings.edge_host or "127.0.0.1", self._settings.edge_port or port)]
        if host == "localhost" or host.endswith(".localhost"):
            return [_address(host, "127.0.0.1", port)]
        return await self._others.resolve(host, port, family)

    async def close(self) -> None:
        """Close what resolves the other names."""
        await self._others.close()


def _address(hostname: str, host: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=hostname, host=host, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
    )
