"""The world outside of the sandbox, from Python: people who write, carriers, domains."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .app import Sandbox


class World:
    """What the control API does over HTTP, as methods of `sandbox.world`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
