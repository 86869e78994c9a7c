"""Agent handles: one rule for the names of identities and of their tunnels."""

from __future__ import annotations

import re

from .errors import TunnelNameInvalid

_HANDLE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def normalize_agent_handle(value: str) -> str:
    """A handle without its leading `@`, in lower case; whether it is legal is another question."""
    return value.strip().removeprefix("@").lower()


def validate_agent_handle(name: str) -> str:
    """Check a handle.

    Args:
        name: The handle, with or without a leading `@`, in any case.

    Returns:
        The handle in its normal form.

    Raises:
        TunnelNameInvalid: It is not 3 to 63 letters, digits and single hyphens between them.
    """
    handle = normalize_agent_handle(name)
    if not 3 <= len(handle) <= 63 or not _HANDLE.fullmatch(handle):
        raise TunnelNameInvalid(
            f"{name!r} is not an agent handle: use 3 to 63 lower-case letters and digits, with single "
            "hyphens between them"
        )
    return handle


def validate_tunnel_name(name: str) -> str:
    """Check the name of a tunnel, which is its identity's handle; see `validate_agent_handle`."""
    return validate_agent_handle(name)
