"""Where requests may be forwarded to, and which authorities an `https://` target is checked against."""

from __future__ import annotations

import ipaddress
import ssl
from urllib.parse import urlsplit

from ..secrecy import hiding, public_url
from .exceptions import ForwardTargetRefused


@hiding
def check_forward_url(url: str, *, allow_remote: bool) -> str:
    """Refuse a target that is no HTTP URL or, unless allowed, not on this machine.

    The host is taken as written: `localhost`, an address in 127.0.0.0/8, or `::1`. Nothing is looked up, so
    no name server can change the answer.

    Returns:
        The URL.

    Raises:
        ValueError: Not an HTTP URL, or one with a user name.
        ForwardTargetRefused: Not on this machine.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"forward_to is not a URL: {public_url(url)!r}") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("forward_to must not hold a user name or password")
    if parts.scheme not in ("http", "https") or not host:
        refusal = f"forward_to must be an http:// or https:// URL, not {public_url(url)!r}"
        raise ForwardTargetRefused(refusal)
    if not allow_remote and not _is_loopback(host):
        raise ForwardTargetRefused(
            f"forward_to points to {host!r}, which is not localhost, 127.0.0.0/8 or ::1; "
            "pass allow_remote_forwarding=True if that is meant"
        )
    return url


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address in ipaddress.ip_network("127.0.0.0/8")
    return address == ipaddress.IPv6Address("::1") and "%" not in host


def trust_authorities(context: ssl.SSLContext, bundle: bytes) -> None:
    """Trust more authorities (PEM) for an `https://` target.

    Raises:
        ValueError: The bundle holds no certificate in PEM form.
    """
    try:
        context.load_verify_locations(cadata=bundle.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise ValueError("forward_to_ca_bundle holds no certificate in PEM form") from error
