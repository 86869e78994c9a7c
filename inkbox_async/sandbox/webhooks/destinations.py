"""Where the sandbox may send requests: this machine, and elsewhere only when it was allowed to."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from inkbox_async.sandbox.settings import Settings

MAX_URL_LENGTH = 2048


def check_receiver(url: str, settings: Settings) -> str:
    """The address of a receiver of webhooks, as it was given, if it can be one.

    Raises:
        ValueError: It is no absolute HTTPS URL; plain HTTP is good enough for receivers on this machine.
    """
    return _check(url, settings, "https", "http")


def check_agent(url: str, settings: Settings) -> str:
    """The address of an agent's WebSocket, as it was given, if it can be one.

    Raises:
        ValueError: It is no absolute URL of a WebSocket over TLS, or of a plain one on this machine.
    """
    return _check(url, settings, "wss", "ws")


def _check(url: str, settings: Settings, secure: str, plain: str) -> str:
    parts = _split(url)
    if parts is None or not parts.hostname or len(url) > MAX_URL_LENGTH or any(c.isspace() for c in url):
        raise ValueError("This is not an absolute URL")
    if parts.scheme == secure or (parts.scheme == plain and is_local(parts.hostname, settings)):
        return url
    raise ValueError(f"The URL has to begin with {secure}:// ({plain}:// is for this machine only)")


def refusal(url: str, settings: Settings) -> str | None:
    """Why nothing may be sent to an address, or None when it may. No name is looked up to find out."""
    if settings.allow_external_webhooks:
        return None
    parts = _split(url)
    if parts is not None and parts.hostname and is_local(parts.hostname, settings):
        return None
    return "Not sent: the address is not on this machine. Start the sandbox with --allow-external-webhooks."


def is_local(host: str, settings: Settings) -> bool:
    """True for loopback, `localhost` and names under it (RFC 6761), and the sandbox's own public names."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    if settings.public_domain is not None and name.endswith(f".{settings.public_domain.lower()}"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that is no number
    except ValueError:
        return None
    return parts
