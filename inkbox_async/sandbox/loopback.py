"""Who may use what has no key: programs on this machine, and no web page through somebody's browser."""

from __future__ import annotations

import ipaddress
import re

from aiohttp import web

from .handling import ApiError

_AUTHORITY = re.compile(r"(?P<name>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_LINKS = ("/files/", "/mail/opened/")
"""Addresses that stand in mail and messages, with a signature: pages may show what is there."""
_SAFE = ("GET", "HEAD")


def authority(request: web.BaseRequest) -> str:
    """The host, and port, that a request was sent to; empty where it does not say.

    (aiohttp would look up this machine's own name then, and hold up everybody meanwhile.)
    """
    return request.host if "Host" in request.headers else ""


def refuse_strangers(request: web.Request) -> None:
    """Let a request pass that comes from this machine, was sent to it by a local name, and by no web page.

    The name matters because a browser can be made to send requests here by a page whose own name resolves to
    this machine. The console's own pages may send requests, and a link to the console may stand anywhere.

    Raises:
        ApiError: 403 for everything else.
    """
    hosts = request.headers.getall("Host", [])
    if not _is_loopback(request.remote or "") or len(hosts) != 1:
        raise _refusal()
    # A target in absolute form (RFC 9112, section 3.2.2) names a host beside the one in the header.
    if not all(_is_local(name) for name in (hosts[0], request.host)):
        raise _refusal()
    origins = request.headers.getall("Origin", [])
    if request.path.startswith(_LINKS):
        origins = [origin for origin in origins if not _is_local(_authority_of(origin))]
    elif _is_sent_by_another_site(request):
        raise _refusal()
    if not all(_is_same(origin, hosts[0]) for origin in origins):
        raise _refusal()


def _is_sent_by_another_site(request: web.Request) -> bool:
    """Whether a browser says so, in Sec-Fetch-Site or Referer, other than of a link that was followed."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return request.method not in _SAFE or request.headers.get("Sec-Fetch-Mode") != "navigate"
    referrer = request.headers.get("Referer")
    if referrer is None or request.method in _SAFE:
        return False
    scheme, _, rest = referrer.partition("://")
    return not _is_same(f"{scheme}://{rest.partition('/')[0]}", request.headers["Host"])


def _is_same(origin: str, host: str) -> bool:
    """Whether an origin is that of the sandbox's own pages, as they were asked for."""
    return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def _authority_of(origin: str) -> str:
    scheme, _, rest = origin.partition("://")
    return rest if scheme in ("http", "https") else ""


def _is_local(name: str) -> bool:
    """True for `localhost` and addresses of loopback, with or without a port, and nothing beside that."""
    match = _AUTHORITY.fullmatch(name)
    host = name if match is None else match["name"].strip("[]").lower()
    return host == "localhost" or _is_loopback(host)


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def _refusal() -> ApiError:
    return ApiError(
        403,
        "The control API and the console answer programs on the sandbox's own machine only: "
        "send the request from there, to localhost or 127.0.0.1, and not from a web page.",
    )
