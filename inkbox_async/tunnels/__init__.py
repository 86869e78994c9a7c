"""Tunnels: a local application at a public HTTPS address."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .exceptions import ForwardTargetRefused as ForwardTargetRefused
    from .exceptions import TunnelAppError as TunnelAppError
    from .exceptions import TunnelAuthenticationError as TunnelAuthenticationError
    from .exceptions import TunnelStateError as TunnelStateError
    from .listener import TunnelListener as TunnelListener
    from .resource import TunnelsResource as TunnelsResource
    from .status import TunnelRuntimeStatus as TunnelRuntimeStatus

_HOMES = {
    "ForwardTargetRefused": "exceptions",
    "TunnelAppError": "exceptions",
    "TunnelAuthenticationError": "exceptions",
    "TunnelListener": "listener",
    "TunnelRuntimeStatus": "status",
    "TunnelStateError": "exceptions",
    "TunnelsResource": "resource",
}

__all__ = [
    "ForwardTargetRefused",
    "TunnelAppError",
    "TunnelAuthenticationError",
    "TunnelListener",
    "TunnelRuntimeStatus",
    "TunnelStateError",
    "TunnelsResource",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value
