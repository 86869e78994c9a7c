"""The control plane in memory, behind HTTP, for clients that cannot be handed an object."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from inkbox_async.errors import InkboxAPIError

from .control import API_KEY, FakeControl

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlServer:
    """Serves a `FakeControl` as the API does.

    Attributes:
        requests: Method and path of every request.
        bodies: Their JSON bodies.
        bare_list: Whether lists come without the surrounding object.
    """

    def __init__(self, control: FakeControl) -> None:
        self.control = control
        self.requests: list[str] = []
        self.bodies: list[object] = []
        self.refusal: tuple[int, object] | None = None
        self.bare_list = False
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ControlServer]:
        application = web.Application(middlewares=[self._front])
        application.router.add_get("/api/v1/tunnels/", self._list)
        application.router.add_get("/api/v1/tunnels/{id}", self._get)
        application.router.add_patch("/api/v1/tunnels/{id}", self._update)
        application.router.add_post("/api/v1/tunnels/{id}/sign-csr", self._sign)
        async with TestServer(application) as server:
            self.url = f"http://127.0.0.1:{server.port}"
            yield self

    @web.middleware
    async def _front(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        assert request.headers["X-API-Key"] == API_KEY
        self.requests.append(f"{request.method} {request.path}")
        self.bodies.append(json.loads(await request.text() or "null"))
        if self.refusal is not None:
            return web.json_response({"detail": self.refusal[1]}, status=self.refusal[0])
        try:
            response: web.StreamResponse = await handler(request)
        except InkboxAPIError as error:
            return web.json_response({"detail": error.detail}, status=error.status_code)
        return response

    async def _list(self, request: web.Request) -> web.Response:
        tunnels = [tunnel.model_dump(mode="json") for tunnel in await self.control.list()]
        return web.json_response(tunnels if self.bare_list else {"tunnels": tunnels})

    async def _get(self, request: web.Request) -> web.Response:
        tunnel = await self.control.get(request.match_info["id"])
        return web.json_response(tunnel.model_dump(mode="json"))

    async def _update(self, request: web.Request) -> web.Response:
        return web.json_response(self.control.tunnel.model_dump(mode="json"))

    async def _sign(self, request: web.Request) -> web.Response:
        csr_pem = (await request.json())["csr_pem"]
        signed = await self.control.sign_csr(request.match_info["id"], csr_pem=csr_pem)
        return web.json_response(signed.model_dump(mode="json"))
