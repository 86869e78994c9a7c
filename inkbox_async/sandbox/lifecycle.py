"""What other areas do when an identity is born or dies, in the same transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from .handling import Call

Hook: TypeAlias = Callable[[Call, str], None]
H = TypeVar("H", bound=Hook)

_BORN: list[Hook] = []
_DYING: list[Hook] = []


def when_identity_is_created(hook: H) -> H:
    """Call `hook(call, identity_id)` once a new identity and its channels are stored.

    `call.body` is the `CreateIdentityRequest` or `AgentSignupRequest`. If the hook raises, no identity
    comes to be.
    """
    _BORN.append(hook)
    return hook


def when_identity_is_deleted(hook: H) -> H:
    """Call `hook(call, identity_id)` just before an identity and its channels are marked as deleted."""
    _DYING.append(hook)
    return hook


def identity_created(call: Call, identity_id: str) -> None:
    """Tell every area about a new identity."""
    for hook in _BORN:
        hook(call, identity_id)


def identity_deleted(call: Call, identity_id: str) -> None:
    """Tell every area about an identity that is being deleted."""
    for hook in _DYING:
        hook(call, identity_id)
