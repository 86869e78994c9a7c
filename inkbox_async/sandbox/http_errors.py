"""Bytes that are not HTTP: refused as JSON like any bad request, and told of in one line of the log."""

from __future__ import annotations

import logging
import re
import uuid

from aiohttp import web
from aiohttp.http import HttpProcessingError
from pydantic_core import to_json

_QUOTED = re.compile(r":? ?(?:bytearray\()?b['\"].*")


def _without_what_was_sent(record: logging.LogRecord) -> bool:
    """One line for bytes that are not HTTP: aiohttp's own text and traceback quote them, keys included."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args = f"Refused a request that is not HTTP ({type(error).__name__})", ()
        record.exc_info = record.exc_text = None
    return True


http_logger = logging.getLogger("inkbox_async.sandbox.http")
http_logger.addFilter(_without_what_was_sent)


class JsonErrorRunner(web.AppRunner):
    """Runs an application whose every error has a `detail`, also those that aiohttp finds by itself."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        return server


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        protocol = super().__call__()
        protocol.__class__ = _Protocol
        return protocol


class _Protocol(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is answered to bytes that are no request, and where an answer could not be made."""
        super().handle_error(request, status, exc, message)
        detail = "The sandbox failed; its log says why."
        if status < 500:
            problem = _QUOTED.sub("", (message or "").partition("\n")[0]).rstrip(" :.")
            detail = f"This is not a well-formed HTTP request: {problem or 'it cannot be read'}."
        response = web.Response(
            status=status,
            body=to_json({"detail": detail}),
            headers={"Content-Type": "application/json", "X-Request-ID": uuid.uuid4().hex},
        )
        response.force_close()
        return response
