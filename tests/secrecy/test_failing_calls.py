"""Calls with secrets in their arguments that fail in every way: no failure shows the secret."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest

from inkbox_async import AsyncInkbox, InkboxError

from ..client.servers import Answer, Seen, Server
from .canaries import Canaries
from .watch import Watch

JSON = Any  # Any: JSON values of every type
Call = Callable[[AsyncInkbox, str], Awaitable[object]]

NUMBER = "+14155550100"


def token() -> str:
    """A secret that needs escaping in JSON, in HTML and in addresses."""
    return f'{secrets.token_hex(6)}"<é/+ &{secrets.token_hex(6)}'


def plain() -> str:
    """A secret of letters and digits."""
    return f"canary{secrets.token_hex(12)}"


def url(secret: str) -> str:
    """An address that proves a right by its query."""
    return f"https://files.example/a/b?X-Signature={secret}&part=1"


def socket_url(secret: str) -> str:
    return f"wss://agent.example/call?token={secret}"


def options(inkbox: AsyncInkbox) -> dict[str, Any]:  # Any: options of different types
    """The address and the patience of a client, for calls that need no client."""
    return {"base_url": inkbox.base_url, "timeout": inkbox._settings.timeout}


# What is called with a secret, and what kind of secret it takes.
CALLS: dict[str, tuple[Callable[[], str], Call]] = {
    "a call without secrets": (plain, lambda inkbox, _: inkbox.whoami()),
    "a list": (plain, lambda inkbox, _: inkbox.messages.list("a@inkboxmail.com")),
    "api_keys.create": (plain, lambda inkbox, _: inkbox.api_keys.create(label="agent")),
    "signing_keys.create_or_rotate": (plain, lambda inkbox, _: inkbox.create_signing_key()),
    "signup": (
        token,
        lambda inkbox, secret: inkbox.signup(
            "ann@example.com", note_to_human="Hi", invitation_token=secret, **options(inkbox)
        ),
    ),
    "signup with an invitation in its usual form": (
        lambda: "a2ai_" + secrets.token_urlsafe(32),
        lambda inkbox, secret: inkbox.signup(
            "ann@example.com", note_to_human="Hi", invitation_token=secret, **options(inkbox)
        ),
    ),
    "verify_signup, the code": (
        plain,
        lambda inkbox, secret: inkbox.verify_signup("ApiKey_x", secret, **options(inkbox)),
    ),
    "verify_signup, the key": (
        plain,
        lambda inkbox, secret: inkbox.verify_signup(f"ApiKey_{secret}", "123456", **options(inkbox)),
    ),
    "resend_signup_verification": (
        plain,
        lambda inkbox, secret: inkbox.resend_signup_verification(f"ApiKey_{secret}", **options(inkbox)),
    ),
    "get_signup_status": (
        plain,
        lambda inkbox, secret: inkbox.get_signup_status(f"ApiKey_{secret}", **options(inkbox)),
    ),
    "subscriptions.create, the bearer token": (
        token,
        lambda inkbox, secret: inkbox.webhooks.subscriptions.create(
            url="https://a.example/", event_types=["message.received"], mailbox_id=uuid4(), auth_token=secret
        ),
    ),
    "subscriptions.create, the address": (
        plain,
        lambda inkbox, secret: inkbox.webhooks.subscriptions.create(
            url=f"https://me:{secret}@a.example/", event_types=["message.received"], mailbox_id=uuid4()
        ),
    ),
    "subscriptions.update": (
        token,
        lambda inkbox, secret: inkbox.webhooks.subscriptions.update(uuid4(), auth_token=secret),
    ),
    "subscriptions.list": (
        plain,
        lambda inkbox, secret: inkbox.webhooks.subscriptions.list(url=url(secret)),
    ),
    "identities.create": (
        plain,
        lambda inkbox, secret: inkbox.create_identity(
            "agent-one", phone_number={"client_websocket_url": socket_url(secret)}
        ),
    ),
    "identities.create on the resource": (
        plain,
        lambda inkbox, secret: inkbox.identities.create(
            agent_handle="agent-one", phone_number={"client_websocket_url": socket_url(secret)}
        ),
    ),
    "phone_numbers.update": (
        plain,
        lambda inkbox, secret: inkbox.phone_numbers.update(
            uuid4(),
            incoming_call_webhook_url=url(secret),
            forwarding_sip_uri=f"sip:agent:{secret}@pbx.example;transport=tls",
        ),
    ),
    "calls.place": (
        plain,
        lambda inkbox, secret: inkbox.calls.place(
            from_number=NUMBER, to_number=NUMBER, client_websocket_url=socket_url(secret)
        ),
    ),
    "texts.send": (
        plain,
        lambda inkbox, secret: inkbox.texts.send(uuid4(), to=NUMBER, media_urls=[url(secret)]),
    ),
    "imessages.send": (
        plain,
        lambda inkbox, secret: inkbox.imessages.send(to=NUMBER, text="Hi", media_urls=[url(secret)]),
    ),
    "vault.delete_key": (
        lambda: secrets.token_hex(32),
        lambda inkbox, secret: inkbox.vault.delete_key(secret),
    ),
    "vault.delete_key with something else": (plain, lambda inkbox, secret: inkbox.vault.delete_key(secret)),
    "vault.initialize with a weak key": (
        lambda: "weak" + secrets.token_hex(12),
        lambda inkbox, secret: inkbox.vault.initialize(secret),
    ),
    "vault.update_key with two proofs": (
        plain,
        lambda inkbox, secret: inkbox.vault.update_key(
            secret, current_vault_key=secret + "2", recovery_code=secret + "3"
        ),
    ),
    "messages.get_attachment": (
        plain,
        lambda inkbox, _: inkbox.messages.get_attachment("a@inkboxmail.com", uuid4(), "a.pdf"),
    ),
    "messages.get_attachment by redirect": (
        plain,
        lambda inkbox, _: inkbox.messages.get_attachment("a@inkboxmail.com", uuid4(), "a.pdf", redirect=True),
    ),
}


def told(seen: Seen) -> JSON:
    """What the request said, as JSON."""
    return json.loads(seen.body) if seen.body else {}


async def validation_error(seen: Seen) -> Answer:
    """What FastAPI answers: every problem quotes the input."""
    body = told(seen)
    problems = [{"loc": ["body"], "msg": "Value error", "type": "value_error", "input": body}]
    if isinstance(body, Mapping):
        problems += [
            {"loc": ["body", name], "msg": "Value error", "type": "value_error", "input": value, "ctx": {}}
            for name, value in body.items()
        ]
    return Answer(422, {"detail": problems})


async def debug_page(seen: Seen) -> Answer:
    """What a gateway in debug mode answers: a page that quotes the request's headers."""
    quoted = "".join(f"<li>{name}: {value}" for name, value in seen.headers.items())
    return Answer(500, f"<h1>Oops</h1>{quoted}".encode(), {"Content-Type": "text/html"})


async def key_in_words(seen: Seen) -> Answer:
    return Answer(401, {"detail": f"Invalid key: {seen.headers.get('X-API-Key')}."})


async def conflict(seen: Seen) -> Answer:
    return Answer(409, {"detail": {"error": "conflict", "message": "Exists.", "sent": told(seen)}})


async def cut_off(seen: Seen) -> Answer:
    """JSON that quotes the request and ends in the middle."""
    return Answer(200, b'{"sent": ' + (seen.body or b'"') + b', "api_key": "ApiKey_new')


async def wrong_types(seen: Seen) -> Answer:
    """JSON that is none of the documented answers, with the values of the request in it."""
    return Answer(200, {"id": told(seen), "url": told(seen), "api_key": [told(seen)], "items": told(seen)})


async def elsewhere(seen: Seen) -> Answer:
    return Answer(307, b"", {"Location": f"https://elsewhere.example/?key={seen.headers.get('X-API-Key')}"})


async def dropped(seen: Seen) -> Answer:
    return Answer(drop=True)


async def slow(seen: Seen) -> Answer:
    await asyncio.Event().wait()
    return Answer()


MODES = (
    validation_error,
    debug_page,
    key_in_words,
    conflict,
    cut_off,
    wrong_types,
    elsewhere,
    dropped,
    slow,
)


@pytest.fixture
def watch() -> Watch:
    return Watch()


def key_and_canaries() -> tuple[str, Canaries]:
    canaries = Canaries()
    secret = plain()
    canaries.add("the API key", secret)
    return f"ApiKey_{uuid4()}.{secret}", canaries


@pytest.mark.parametrize("name", CALLS)
async def test_no_failure_shows_what_a_call_was_given(name: str, watch: Watch) -> None:
    make, call = CALLS[name]
    key, canaries = key_and_canaries()
    secret = make()
    canaries.add(name, secret)
    server = Server()
    await server.start()
    failures = 0
    try:
        with watch.listening():
            for mode in MODES:
                server.handler = mode
                timeout = 0.05 if mode is slow else 30.0
                async with AsyncInkbox(key, base_url=server.url, timeout=timeout, max_retries=0) as inkbox:
                    try:
                        await call(inkbox, secret)
                    except (InkboxError, ValueError) as error:
                        failures += 1
                        watch.error(mode.__name__, error)
                    watch.thing("the client", inkbox)
    finally:
        await server.stop()
    assert canaries.leaks(watch.seen) == []
    assert failures >= len(MODES) - 2, "the test must see failures to say anything about them"


@pytest.mark.parametrize("name", CALLS)
async def test_neither_do_cancellations_refused_connections_and_arguments_that_cannot_be_sent(
    name: str, watch: Watch
) -> None:
    make, call = CALLS[name]
    key, canaries = key_and_canaries()
    secret = make()
    canaries.add(name, secret)
    server = Server()
    await server.start()
    server.handler = slow
    try:
        with watch.listening():
            async with AsyncInkbox(key, base_url=server.url, max_retries=0) as inkbox:
                await _cancelled(watch, server, asyncio.ensure_future(call(inkbox, secret)))
                for given in (secret + "\ud800", secret + "\x00"):
                    server.handler = validation_error
                    try:
                        await call(inkbox, given)
                    except (InkboxError, ValueError) as error:
                        watch.error(f"the argument {given[-1]!a}", error)
            await server.stop()
            async with AsyncInkbox(key, base_url=server.url, max_retries=0) as inkbox:
                with pytest.raises((InkboxError, ValueError)) as caught:
                    await call(inkbox, secret)
                watch.error("nobody listens", caught.value)
    finally:
        await server.stop()
    assert canaries.leaks(watch.seen) == []


async def _cancelled(watch: Watch, server: Server, task: asyncio.Future[object]) -> None:
    arrived = asyncio.ensure_future(server.reached(1))
    await asyncio.wait((task, arrived), return_when=asyncio.FIRST_COMPLETED)
    watch.saw("the task", repr(task))
    task.cancel()
    arrived.cancel()
    try:
        await task
    except (asyncio.CancelledError, InkboxError, ValueError) as error:
        watch.error("cancelled", error)
