"""The FastAPI and Starlette dependency, driven over ASGI."""

# FastAPI reads the annotations of routes; those of a route inside a function must not be text.

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import httpx
import pytest

pytest.importorskip("fastapi")

from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from inkbox_async.webhooks import IncomingCallAnswer, IncomingCallEvent, MailEvent, WebhookEvent
from inkbox_async.webhooks.fastapi import SecretsSource, WebhookReceiver
from inkbox_async.webhooks.signature import sign_webhook, signed_headers

from .payloads import INCOMING_CALL, MAIL_RECEIVED, UNKNOWN

SECRET = "whsec_a-signing-key"
Post = Callable[..., Awaitable[httpx.Response]]


def signed(body: bytes, *, secret: str = SECRET, age: float = 0) -> dict[str, str]:
    """Headers of a delivery that was sent `age` seconds ago."""
    return signed_headers(payload=body, request_id="r-1", timestamp=int(time.time() - age), secret=secret)


def application(receiver: WebhookReceiver) -> FastAPI:
    """A FastAPI application with one route for everything."""
    app = FastAPI()

    @app.post("/hook")
    async def hook(event: Annotated[WebhookEvent, Depends(receiver)], request: Request) -> dict[str, Any]:
        if isinstance(event, IncomingCallEvent):
            return IncomingCallAnswer(action="reject").to_wire()
        told = event.data.message.subject if isinstance(event, MailEvent) else None
        size = len(await request.body())
        return {"kind": type(event).__name__, "type": event.event_type, "subject": told, "size": size}

    return app


async def post(
    app: FastAPI | Starlette, body: bytes | AsyncIterator[bytes], headers: dict[str, str]
) -> httpx.Response:
    """One POST to the application's route, in this process."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://receiver.test") as client:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return await client.post("/hook", content=body, headers=raw)


async def test_the_route_gets_the_typed_event() -> None:
    """A genuine body arrives as an event, and can still be read raw."""
    body = json.dumps(MAIL_RECEIVED).encode()
    answer = await post(application(WebhookReceiver(SECRET)), body, signed(body))
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "kind": "MailEvent",
        "type": "message.received",
        "subject": "Hello",
        "size": len(body),
    }


async def test_an_incoming_call_is_answered() -> None:
    """The answer model is what the caller's side expects."""
    body = json.dumps(INCOMING_CALL).encode()
    answer = await post(application(WebhookReceiver(SECRET)), body, signed(body))
    assert (answer.status_code, answer.json()) == (200, {"action": "reject"})


async def test_unknown_events_reach_the_route() -> None:
    """Events newer than this package are the route's to ignore."""
    body = json.dumps(UNKNOWN).encode()
    answer = await post(application(WebhookReceiver(SECRET)), body, signed(body))
    assert answer.json()["kind"] == "UnknownEvent"


async def test_a_body_in_pieces() -> None:
    """What is checked is the whole body, however it arrives."""
    body = json.dumps(MAIL_RECEIVED).encode()

    async def pieces() -> AsyncIterator[bytes]:
        yield body[:7]
        yield body[7:]

    answer = await post(application(WebhookReceiver(SECRET)), pieces(), signed(body))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(b"another body"),
        signed(json.dumps(MAIL_RECEIVED).encode(), secret="whsec_another-key"),
    ],
    ids=["unsigned", "another body's signature", "another key's signature"],
)
async def test_forgeries_are_refused(headers: dict[str, str]) -> None:
    """Nothing but the right signature reaches the route; the answer is 403."""
    answer = await post(application(WebhookReceiver(SECRET)), json.dumps(MAIL_RECEIVED).encode(), headers)
    assert answer.status_code == 403
    assert SECRET.removeprefix("whsec_") not in answer.text


async def late() -> list[str]:
    """Signing keys from somewhere slow."""
    return [SECRET]


@pytest.mark.parametrize(
    "secrets",
    [SECRET, ["whsec_old", SECRET], (s for s in ["whsec_old", SECRET]), lambda: SECRET, late],
    ids=["one", "rotation", "generator", "function", "coroutine function"],
)
async def test_any_of_the_secrets_will_do(secrets: SecretsSource) -> None:
    """While a key is being replaced, both verify, as often as it takes."""
    app = application(WebhookReceiver(secrets))
    body = json.dumps(MAIL_RECEIVED).encode()
    for _ in range(2):
        assert (await post(app, body, signed(body))).status_code == 200
    assert (await post(app, body, signed(body, secret="whsec_third"))).status_code == 403


@pytest.mark.parametrize("secrets", ["", "whsec_", [], ["whsec_good", ""], None, [None], b"whsec_good"])
def test_empty_secrets_are_refused(secrets: Any) -> None:  # Any: what is no secret
    """An unset environment variable must not open the door to everybody."""
    with pytest.raises(ValueError, match="signing key"):
        WebhookReceiver(secrets)


async def test_freshness_is_optional() -> None:
    """Old requests pass unless a window is set; then both old ones and those of the future are refused."""
    body = json.dumps(MAIL_RECEIVED).encode()
    assert (
        await post(application(WebhookReceiver(SECRET)), body, signed(body, age=86_400))
    ).status_code == 200
    windowed = application(WebhookReceiver(SECRET, max_age=300))
    assert (await post(windowed, body, signed(body, age=10))).status_code == 200
    assert (await post(windowed, body, signed(body, age=3600))).status_code == 403
    assert (await post(windowed, body, signed(body, age=-3600))).status_code == 403


@pytest.mark.parametrize("timestamp", ["", "soon", "-5", "1e9", "9" * 40, "²"])
async def test_a_signed_nonsense_timestamp_is_not_fresh(timestamp: str) -> None:
    """A window needs a time to compare with."""
    body = b"{}"
    signature = sign_webhook(payload=body, request_id="r", timestamp=timestamp, secret=SECRET)
    headers = {"X-Inkbox-Request-ID": "r", "X-Inkbox-Timestamp": timestamp, "X-Inkbox-Signature": signature}
    answer = await post(application(WebhookReceiver(SECRET, max_age=300)), body, headers)
    assert answer.status_code == 403


@pytest.mark.parametrize("max_age", [0, -1, float("nan")])
def test_a_window_is_positive(max_age: float) -> None:
    """A window of nothing would refuse everything."""
    with pytest.raises(ValueError, match="max_age"):
        WebhookReceiver(SECRET, max_age=max_age)


async def test_a_genuine_body_that_is_no_event() -> None:
    """It is the sender's mistake: 400, with the places that are wrong."""
    body = json.dumps({"event_type": "message.received", "timestamp": "2026-06-01T12:00:00Z"}).encode()
    answer = await post(application(WebhookReceiver(SECRET)), body, signed(body))
    assert answer.status_code == 400
    assert "data: Field required" in answer.json()["detail"]


async def test_starlette_without_fastapi() -> None:
    """The receiver is called with the request."""
    receiver = WebhookReceiver(SECRET)

    async def hook(request: Request) -> Response:
        event = await receiver(request)
        return JSONResponse({"kind": type(event).__name__})

    app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
    body = json.dumps(MAIL_RECEIVED).encode()
    assert (await post(app, body, signed(body))).json() == {"kind": "MailEvent"}
    assert (await post(app, body, {})).status_code == 403
