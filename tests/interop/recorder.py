"""A loopback server that remembers what a client sends, in a form in which clients compare."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

NOT_INTERESTING = {"detail": "only the request is of interest"}
"""The answer, with status 400, to whatever has no answer of its own: both clients raise and send no more."""


@dataclass(frozen=True)
class Request:
    """One request, in a form in which equal requests are equal."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    content_type: str | None
    body: str

    def __str__(self) -> str:
        return f"{self.method} {self.path} {dict(self.query)} {self.content_type} {self.body}"


class Recorder:
    """Answers `METHOD /path` from `answers` (JSON) and remembers what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}  # Any: JSON
        self.requests: list[Request] = []
        self._runner: web.ServerRunner | None = None
        self.base_url = ""

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        path, _, query = request.raw_path.partition("?")
        content_type, body = canonical_body(request.headers, await request.read())
        pairs = tuple(sorted(parse_qsl(query, keep_blank_values=True)))
        self.requests.append(Request(request.method, path, pairs, content_type, body))
        answer = self.answers.get(f"{request.method} {path}", NOT_INTERESTING)
        return web.json_response(answer, status=400 if answer is NOT_INTERESTING else 200)


def canonical_body(headers: Mapping[str, str], body: bytes) -> tuple[str | None, str]:
    """The media type and the body, without what may differ: order of JSON keys, the boundary of a form."""
    content_type = headers.get("Content-Type")
    if not body or content_type is None:
        return content_type, body.decode()
    media_type = content_type.partition(";")[0]
    if media_type == "application/json":
        return media_type, json.dumps(json.loads(body), sort_keys=True)
    if boundary := re.search(r"boundary=([^;]+)", content_type):
        return media_type, body.decode().replace(boundary[1], "BOUNDARY").strip()
    return content_type, body.decode()
