"""What a room of the sandbox may ask of the whole, without knowing how the whole is put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, TypeVarTuple

from aiohttp import web

from .clock import Clock
from .faults import Faults
from .journal import Journal
from .phone.service import Phone
from .settings import Settings
from .store import Store

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class PublicHosts(Protocol):
    """The tunnel edge as the API's server and the control API see it."""

    def is_public_host(self, authority: str) -> bool:
        """Whether a Host value belongs to a tunnel and not to the API."""
        ...

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a third party that came in plain HTTP by the port of the API."""
        ...

    async def drain(self, tunnel_id: str) -> bool:
        """Ask the tunnel's listener to move to a new connection; False when there is no listener."""
        ...

    def supersede(self, tunnel_id: str) -> bool:
        """Displace the tunnel's listener as another one would; False when there is no listener."""
        ...


class Parts(Protocol):
    """A sandbox, seen from one of its rooms; `app.Sandbox` tells what each part is."""

    settings: Settings
    clock: Clock
    faults: Faults
    journal: Journal
    store: Store
    phone: Phone

    @property
    def edge(self) -> PublicHosts | None:
        """The tunnel edge; None until it runs."""
        ...

    @property
    def organization_id(self) -> str:
        """Id of the ready-made organization."""
        ...

    async def reset(self) -> None:
        """Go back to the state just after the start."""
        ...

    async def on_own_loop(self, function: Callable[[*Ts], Awaitable[T]], *arguments: *Ts) -> T:
        """`await function(*arguments)` on the event loop the sandbox runs on."""
        ...
