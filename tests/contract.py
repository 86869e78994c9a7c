"""The contract: every answer the sandbox gives during the tests is held against the specification."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from inkbox_async.operation import Operation
from inkbox_async.sandbox.server import ApiServer

OPENAPI = Path(__file__).resolve().parents[1] / "openapi"
BASE = "https://specification.example/"
# Answers of the server itself rather than of an operation: wrong method, shutdown.
ANYWHERE = frozenset({401, 404, 405, 409, 413, 429, 500, 501, 502, 503, 504})

_ORDERED = web.RequestKey("ordered", bool)
"""On requests whose answer is a fault that the test asked for."""

Node = dict[str, Any]  # Any: YAML of every shape
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Contract:
    """Collects what breaks the specification; `broken` is emptied by whoever reports it."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.checked = 0

    def install(self) -> None:
        """Watches every server that is started from now on."""
        front, misbehave = ApiServer._front, ApiServer._misbehave
        contract = self

        @web.middleware
        async def watched(server: ApiServer, request: web.Request, handler: Handler) -> web.StreamResponse:
            response = await front(server, request, handler)
            operation = _operation_of(request)
            if operation is not None and isinstance(response, web.Response) and _ORDERED not in request:
                contract.check(operation, response)
            return response

        async def noted(server: ApiServer, request: web.Request) -> web.Response | None:
            answer = await misbehave(server, request)
            if answer is not None:
                request[_ORDERED] = True
            return answer

        ApiServer._front = watched  # type: ignore[method-assign, assignment]
        ApiServer._misbehave = noted  # type: ignore[method-assign, assignment]

    def check(self, operation: Operation, response: web.Response) -> None:
        """Notes what is wrong with one answer."""
        where = f"{operation.id} ({operation.method} {operation.path}) answered {response.status}"
        answer = _answer(operation.area, operation.method, operation.path, response.status)
        if answer is None:
            if response.status not in ANYWHERE:
                self.broken.append(f"{where}, which the specification does not know")
            return
        pointer, media = answer
        self.checked += 1
        body = bytes(response.body) if isinstance(response.body, bytes) else b""
        if pointer is None:
            if body:
                self.broken.append(f"{where} with a body, where none is specified")
            return
        if response.content_type != media:
            self.broken.append(f"{where} with {response.content_type} instead of {media}")
            return
        if media != "application/json":
            return
        for error in _validator(pointer).iter_errors(json.loads(body or b"null")):
            place = "/".join(str(part) for part in error.absolute_path) or "the whole body"
            self.broken.append(f"{where}: {place}: {error.message[:300]}")


def _operation_of(request: web.Request) -> Operation | None:
    handler: Any = getattr(request.match_info, "handler", None)  # Any: whatever was routed
    for argument in getattr(handler, "args", ()):
        if isinstance(argument, Operation) and argument.area:
            return argument
    return None


@cache
def documents() -> dict[str, Node]:
    """The files of the specification by their names. They are shared: change copies."""
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # Any: the quick one is there or not
    return {path.name: yaml.load(path.read_text("utf-8"), loader) for path in OPENAPI.glob("*.yaml")}


@cache
def _registry() -> Registry[Any]:
    return Registry().with_resources(
        (BASE + name, DRAFT202012.create_resource(document)) for name, document in documents().items()
    )


@cache
def _validator(pointer: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": pointer}, registry=_registry())


@cache
def _answer(area: str, method: str, path: str, status: int) -> tuple[str | None, str] | None:
    """Where the schema of an answer stands, and its media type; None when the status is not specified."""
    file = f"{area}.yaml"
    node = documents()[file]["paths"][path][method.lower()]["responses"]
    key = str(status)
    if key not in node:
        return None
    place = f"/paths/{_escaped(path)}/{method.lower()}/responses/{key}"
    response: Node = node[key]
    if reference := response.get("$ref"):
        target, _, place = reference.partition("#")
        file = target.removeprefix("./") or file
        response = documents()[file]
        for part in place.strip("/").split("/"):
            response = response[part]
    for media, content in response.get("content", {}).items():
        if "schema" not in content:
            return None, media
        return f"{BASE}{file}#{place}/content/{_escaped(media)}/schema", media
    return None, "application/json"


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
