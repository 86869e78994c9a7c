"""The HTTP server: routes from the table of operations, validation, authentication, errors as JSON."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

from aiohttp import web

from inkbox_async.operation import Operation

from . import areas
from .auth import authenticate
from .controlling import CONTROLS, ControlCall
from .handling import HANDLERS, ROUTES, Answer, ApiError, Call
from .http_errors import JsonErrorRunner, http_logger
from .loopback import authority, refuse_strangers
from .parts import Parts
from .path_templates import PathTemplate
from .requests import MAX_BODY_BYTES, Body, encode, parse_path, parse_query, read_body, resolve
from .store import Tx

logger = logging.getLogger("inkbox_async.sandbox")

_HttpHandler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Serve: TypeAlias = Callable[[Operation, web.Request], Awaitable[web.StreamResponse]]

ALIASES: Mapping[str, str] = {"/api/whoami": "/api/v1/whoami"}
"""Paths under which an operation is served as well."""

_REQUEST_ID = web.RequestKey("request_id", str)
_DROPPED = web.RequestKey("dropped", bool)
_BODY = web.RequestKey("body", bytes)


def specified_operations() -> tuple[Operation, ...]:
    """Every operation of the specification."""
    from inkbox_async.generated.operations import OPERATIONS

    return OPERATIONS


def operation_by_id(operation_id: str) -> Operation:
    """One operation of the specification.

    Raises:
        KeyError: There is none with this id.
    """
    for operation in specified_operations():
        if operation.id == operation_id:
            return operation
    raise KeyError(operation_id)


def missing_handlers(operations: Iterable[Operation] | None = None) -> list[str]:
    """Ids of operations that are specified and not implemented: they answer 501."""
    areas.load_all()
    return [
        operation.id
        for operation in (specified_operations() if operations is None else operations)
        if operation.id not in (CONTROLS if operation.area == "sandbox" else HANDLERS)
    ]


class _PublicPaths(web.DynamicResource):
    """Every path of a tunnel's public host: for unknown ones, aiohttp makes an exception, which is costly."""

    def __init__(self, is_public: Callable[[str], bool]) -> None:
        super().__init__("/{path:.*}")
        self._is_public = is_public
        self.add_route("*", self._unreachable)

    async def resolve(self, request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        return await super().resolve(request) if self._is_public(authority(request)) else (None, set())

    @staticmethod
    async def _unreachable(request: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound  # `ApiServer._front` serves these paths


class ApiServer:
    """Serves the API, the control API and the console of one sandbox on one port."""

    def __init__(
        self, sandbox: Parts, host: str, port: int, operations: Sequence[Operation] | None = None
    ) -> None:
        """`operations` replaces the specification's table, for tests."""
        areas.load()
        self._sandbox = sandbox
        self._host = host
        self._asked_port = port
        self._operations = specified_operations() if operations is None else operations
        self._runner: JsonErrorRunner | None = None
        self._running_sends: set[tuple[str, str, str]] = set()
        self._loaded: set[str] = set()
        self.port = port

    async def start(self) -> None:
        """Listen; `port` is then the real one."""
        self._runner = JsonErrorRunner(
            self._application(),
            access_log=None,
            logger=http_logger,
            auto_decompress=False,  # bodies pass through tunnels as they are
            handle_signals=False,
            shutdown_timeout=1.0,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._asked_port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._front], client_max_size=MAX_BODY_BYTES)
        operations = [*self._operations, *(_outside_of_specification(*route) for route in ROUTES)]
        resources: dict[str, PathTemplate] = {}
        for operation in sorted(operations, key=_literal_segments_first):
            serve: _Serve = self._control if operation.area == "sandbox" else self._operation
            for path in filter(None, (operation.path, ALIASES.get(operation.path))):
                resource = resources.get(path)
                if resource is None:
                    resource = resources[path] = PathTemplate(path)
                    application.router.register_resource(resource)
                for method in ("GET", "HEAD") if operation.method == "GET" else (operation.method,):
                    resource.add_route(method, partial(serve, operation))
        application.router.register_resource(_PublicPaths(self._is_public))
        return application

    @web.middleware
    async def _front(self, request: web.Request, handler: _HttpHandler) -> web.StreamResponse:
        """Every request passes here; those for `{handle}.localhost` are third parties' of a tunnel."""
        edge = self._sandbox.edge
        if edge is not None and edge.is_public_host(authority(request)):
            return await edge.serve(request)
        return await self._answer(request, handler)

    def _is_public(self, host: str) -> bool:
        edge = self._sandbox.edge
        return edge is not None and edge.is_public_host(host)

    async def _answer(self, request: web.Request, handler: _HttpHandler) -> web.StreamResponse:
        """Around every request to the API: its id, the faults, the journal, and errors turned into JSON."""
        request_id = uuid.uuid4().hex
        request[_REQUEST_ID] = request_id
        received_at = self._sandbox.clock.now()
        is_api = request.path.startswith("/api/")
        response: web.StreamResponse | None = None
        try:
            with self._one_send_at_a_time(request):
                if is_api:
                    response = await self._misbehave(request)
                else:
                    refuse_strangers(request)
                if response is None:
                    response = await handler(request)
        except ApiError as error:
            response = _error(error.status, error.detail, error.headers)
        except web.HTTPMethodNotAllowed as error:
            response = _method_not_allowed(request, error)
        except web.HTTPException as error:
            response = _error(error.status, error.reason)
        except Exception as error:
            if isinstance(error, ConnectionError) and _is_gone(request):
                request[_DROPPED] = True
                response = _error(503, "The sender hung up.")  # nobody will see it
            else:
                logger.exception("%s %s failed, request %s", request.method, request.path, request_id)
                response = _error(500, f"The sandbox failed; its log says why, under request {request_id}.")
        finally:
            if is_api:
                self._sandbox.journal.record(
                    request_id=request_id,
                    received_at=received_at,
                    method=request.method,
                    path=request.path,
                    query=request.query.items(),
                    headers=request.headers.items(),
                    content_type=request.content_type,
                    body=request.get(_BODY, b""),
                    status=0 if response is None or _DROPPED in request else response.status,
                )
        if not response.prepared:
            response.headers["X-Request-ID"] = request_id
        return response

    async def _misbehave(self, request: web.Request) -> web.Response | None:
        """What a fault makes of a request; None to go on as usual."""
        fault = self._sandbox.faults.take(request.method, request.path)
        if fault is None:
            return None
        if request.content_type != "multipart/form-data":
            request[_BODY] = await request.read()  # for the journal
        if fault.delay_seconds:
            await asyncio.sleep(fault.delay_seconds)
        if fault.drop:
            request[_DROPPED] = True
            if request.transport is not None:
                request.transport.abort()
            return _error(503, f"Dropped by fault {fault.id}")  # nobody will see it
        if fault.status is None:
            return None
        body = {"detail": f"Fault {fault.id} of the sandbox"} if fault.body is None else fault.body
        content = b"" if fault.status in (204, 304) else encode(body)
        headers = {"Content-Type": "application/json", **fault.headers}
        return web.Response(status=fault.status, body=content, headers=headers)

    @contextmanager
    def _one_send_at_a_time(self, request: web.Request) -> Iterator[None]:
        """Refuses a request whose idempotency key is in use by one that is still running."""
        key = request.headers.get("Idempotency-Key")
        if key is None:
            yield
            return
        credential = request.headers.get("X-API-Key", request.headers.get("Authorization", ""))
        running = (credential, request.path, key)
        if running in self._running_sends:
            message = (
                "The first request with this idempotency key is still running. Repeat this one in a moment."
            )
            raise ApiError(409, {"error": "idempotency_in_progress", "message": message})
        self._running_sends.add(running)
        try:
            yield
        finally:
            self._running_sends.discard(running)

    async def _load(self, operation: Operation) -> None:
        """Import what an operation needs, once, and off the loop: the first of an area takes milliseconds."""
        if operation.id not in self._loaded:
            await asyncio.to_thread(_import_for, operation)
            self._loaded.add(operation.id)

    async def _operation(self, operation: Operation, request: web.Request) -> web.Response:
        await self._load(operation)
        handler = HANDLERS.get(operation.id) or ROUTES.get((operation.method, operation.path))
        body = await self._body(operation, request)
        headers = {name.lower(): value for name, value in request.headers.items()}

        def serve(tx: Tx) -> tuple[Answer, bytes]:
            now = self._sandbox.clock.now()
            caller = authenticate(tx, now, headers, operation)
            if handler is None:
                raise ApiError(501, f"{operation.id} is not implemented in this sandbox.")
            path = parse_path(operation, request.match_info)
            query = parse_query(operation, request.query)
            if body.error is not None:
                raise body.error
            call = Call(
                operation=operation,
                tx=tx,
                caller=caller,
                path=path,
                query=query,
                body=body.model,
                headers=headers,
                now=now,
                settings=self._sandbox.settings,
                form=body.form,
                files=body.files,
                content=body.content,
            )
            return _finish(handler(call))

        with _refusing_what_cannot_be_stored():
            return _response(*await self._sandbox.store.run(serve), operation)

    async def _control(self, operation: Operation, request: web.Request) -> web.Response:
        await self._load(operation)
        handler = CONTROLS.get(operation.id)
        if handler is None:
            raise ApiError(501, f"{operation.id} is not implemented in this sandbox.")
        path = parse_path(operation, request.match_info)
        query = parse_query(operation, request.query)
        body = await self._body(operation, request)
        if body.error is not None:
            raise body.error
        call = ControlCall(
            sandbox=self._sandbox,
            path=path,
            query=query,
            body=body.model,
            headers={name.lower(): value for name, value in request.headers.items()},
            content=body.content,
            content_type=request.content_type,
        )
        with _refusing_what_cannot_be_stored():
            result = await handler(call)
            # The journal and the outbox can be long; the loop serves others while they are written as JSON.
            return _response(*await asyncio.to_thread(_finish, result), operation)

    @staticmethod
    async def _body(operation: Operation, request: web.Request) -> Body:
        body = await read_body(operation, request)
        request[_BODY] = body.content
        return body


def _import_for(operation: Operation) -> None:
    areas.load_for(operation.id)
    for model in (operation.query, operation.body):
        if model is not None:
            resolve(model)


def _outside_of_specification(method: str, path: str) -> Operation:
    return Operation(
        id=f"{method} {path}",
        method=method,
        path=path,
        status=200,
        area="",
        callers=frozenset({"anyone"}),
    )


def _literal_segments_first(operation: Operation) -> list[bool]:
    """`/texts/search` is tried before `/texts/{text_id}`."""
    return [segment.startswith("{") for segment in operation.path.split("/")]


@contextmanager
def _refusing_what_cannot_be_stored() -> Iterator[None]:
    """SQLite takes no integer above 64 bits and no text that is not Unicode: the sender's fault, not ours."""
    try:
        yield
    except (OverflowError, UnicodeEncodeError) as error:
        raise ApiError(422, "The request holds a number or a text that cannot be stored.") from error


def _finish(result: object) -> tuple[Answer, bytes]:
    answer = result if isinstance(result, Answer) else Answer(result)
    return answer, b"" if answer.body is None else encode(answer.body)


def _response(answer: Answer, content: bytes, operation: Operation) -> web.Response:
    headers = dict(answer.headers)
    if content:
        headers["Content-Type"] = answer.content_type or operation.response_media
    return web.Response(status=answer.status or operation.status, body=content or None, headers=headers)


def _error(status: int, detail: object, headers: Mapping[str, str] | None = None) -> web.Response:
    content = encode({"detail": detail})
    return web.Response(
        status=status, body=content, headers={"Content-Type": "application/json", **(headers or {})}
    )


def _is_gone(request: web.Request) -> bool:
    """Whether whoever sent the request has hung up."""
    return request.transport is None or request.transport.is_closing()


def _method_not_allowed(request: web.Request, error: web.HTTPMethodNotAllowed) -> web.Response:
    """405, or for OPTIONS the methods that are allowed."""
    allow = {"Allow": ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))}
    if request.method == "OPTIONS":
        return web.Response(status=204, headers=allow)
    return _error(405, "Method Not Allowed", allow)
