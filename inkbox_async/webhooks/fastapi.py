"""Webhooks in FastAPI and Starlette: a dependency that lets genuine events through to the route, typed.

Needs Starlette: `pip install 'inkbox-async[webhooks]'`.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

try:
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
except ImportError as error:
    raise ImportError(
        "inkbox_async.webhooks.fastapi needs Starlette: pip install 'inkbox-async[webhooks]'"
    ) from error

from ..secrecy import hiding
from .events import WebhookEvent, parse_webhook
from .signature import SECRET_PREFIX, TIMESTAMP_HEADER, verify_webhook

Secrets: TypeAlias = str | Iterable[str]
"""One signing key, or several of which any may have signed."""

SecretsSource: TypeAlias = Secrets | Callable[[], Secrets | Awaitable[Secrets]]
"""Signing keys, or a function (or coroutine function) that looks them up for each request."""


class WebhookReceiver:
    """Checks the signature of a request and gives its event.

        receiver = WebhookReceiver(os.environ["INKBOX_SIGNING_KEY"], max_age=300)

        @app.post("/hooks/inkbox", status_code=204)
        async def on_event(event: Annotated[WebhookEvent, Depends(receiver)]) -> None:
            match event:
                case MailEvent(event_type="message.received"):
                    ...

    In Starlette, `event = await receiver(request)`. The raw body is what is checked; the route may still read
    it with `await request.body()`. An event may arrive more than once: remember `event.id` if that matters.
    """

    @hiding
    def __init__(self, secrets: SecretsSource, *, max_age: float | None = None) -> None:
        """Prepare a receiver.

        Args:
            secrets: The signing key. Several while one is being replaced by another, or when identities with
                keys of their own share the route: a request signed with any of them is genuine. A function
                is asked for them at each request.
            max_age: How many seconds the moment of sending (`X-Inkbox-Timestamp`) may differ from this
                machine's clock; older requests are taken for recorded ones. 300 is usual. None does not look
                at it.

        Raises:
            ValueError: There is no secret, an empty one, or `max_age` is not positive.
        """
        self._source: SecretsSource = secrets if callable(secrets) else _checked(secrets)
        if max_age is not None and not max_age > 0:
            raise ValueError("max_age must be a positive number of seconds, or None")
        self._max_age = max_age

    @hiding
    async def __call__(self, request: Request) -> WebhookEvent:
        """The event of a genuine request.

        Raises:
            HTTPException: 403 when the signature is missing or wrong, or the request too old; 400 when a
                genuine body is not an event.
        """
        body = await request.body()
        secrets = await self._secrets()
        if not any(
            verify_webhook(payload=body, headers=request.headers, secret=secret) for secret in secrets
        ):
            raise HTTPException(status_code=403, detail="The signature is missing or wrong.")
        if not self._is_fresh(request.headers.get(TIMESTAMP_HEADER, "")):
            raise HTTPException(status_code=403, detail="The request is too old.")
        try:
            return parse_webhook(body)
        except ValueError as error:
            raise HTTPException(status_code=400, detail=str(error)) from error

    async def _secrets(self) -> tuple[str, ...]:
        if not callable(self._source):
            return _checked(self._source)
        found = self._source()
        return _checked(await found if inspect.isawaitable(found) else found)

    def _is_fresh(self, timestamp: str) -> bool:
        """Whether the moment of sending, which was signed with the body, is near enough."""
        if self._max_age is None:
            return True
        # Longer numbers cannot be a time; they would only make a slow integer.
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            return False
        return abs(time.time() - int(timestamp)) <= self._max_age


def _checked(secrets: Secrets) -> tuple[str, ...]:
    """The secrets, none of them empty: anybody could sign with an empty one.

    None, as `os.environ.get` gives it, is no secret either.
    """
    found = (secrets,) if isinstance(secrets, str) else tuple(secrets or ())
    if not found or not all(isinstance(key, str) and key.removeprefix(SECRET_PREFIX) for key in found):
        raise ValueError("secrets must hold at least one signing key, as text, and no empty one")
    return found
