"""Who may use what has no key: programs on this machine, and no web page through somebody's browser."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

from .handling import ApiError


def refuse_strangers(request: web.Request) -> None:
    """Let a request pass that comes from this machine and was sent to it by a local name.

    The name matters because a browser can be made to send requests here by a page whose own name resolves to
    this machine.

    Raises:
        ApiError: 403 for everything else.
    """
    origin = request.headers.get("Origin")
    names = [f"//{request.host}"] if origin is None else [f"//{request.host}", origin]
    if not _is_loopback(request.remote or "") or not all(_is_local_name(name) for name in names):
        raise ApiError(
            403, "The control API and the console answer programs on the sandbox's own machine only."
        )


def _is_local_name(url: str) -> bool:
    try:
        name = (urlsplit(url).hostname or "").lower()
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
