"""A whole day in the sandbox, with a secret of every kind: nothing that shows anything shows one."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from inkbox_async import (
    APIKeyPayload,
    AsyncInkbox,
    InkboxError,
    KeyPairPayload,
    LoginPayload,
    OtherPayload,
    SSHKeyPayload,
    parse_totp_uri,
    parse_webhook,
    verify_webhook,
)
from inkbox_async.__main__ import main
from inkbox_async.sandbox import Sandbox
from inkbox_async.tunnels import TunnelAuthenticationError
from inkbox_async.vault.crypto import compute_auth_hash, derive_master_key, derive_salt

from ..phone.conftest import Agent, ended, serving
from ..webhooks.conftest import Receiver, until
from .canaries import Canaries
from .watch import Watch

ANN = "+15551234567"
KEY = f"Vault-key-{secrets.token_hex(8)}!"
NEXT_KEY = f"Next-vault-key-{secrets.token_hex(8)}?"


class World:
    """A sandbox under watch."""

    def __init__(self, sandbox: Sandbox, inkbox: AsyncInkbox) -> None:
        self.sandbox = sandbox
        self.inkbox = inkbox
        self.watch = Watch()
        self.canaries = Canaries()
        self.canaries.add("the admin key", sandbox.api_key.partition(".")[2])
        self.canaries.add("the owner's password", sandbox.home.password)

    def key(self, name: str, key: str) -> None:
        """Watch for an API key: the part of it that is secret."""
        self.canaries.add(name, key.partition(".")[2])

    async def fails(self, where: str, call: Awaitable[object]) -> None:
        """Note what a call shows that must fail."""
        with pytest.raises((InkboxError, ValueError, TypeError, KeyError)) as caught:
            await call
        self.watch.error(where, caught.value)

    async def look_around(self, *, outbox: bool = True) -> None:
        """Note what the sandbox shows to people and programs."""
        watch, base = self.watch, self.sandbox.base_url
        watch.thing("the client", self.inkbox)
        watch.thing("the sandbox", self.sandbox)
        watch.thing("the journal", self.sandbox.requests())
        pages = ["/_sandbox/requests", "/_sandbox/webhook-attempts", "/_sandbox/health", "/console"]
        if outbox:
            pages += ["/_sandbox/outbox", "/console/outbox"]
        async with aiohttp.ClientSession() as session:
            pages += [f"/console/mailboxes/{name}" for name in await self._mailboxes()]
            for page in pages:
                async with session.get(base + page) as answer:
                    assert answer.status == 200, page
                    watch.saw(page, await answer.text())
                    watch.saw(f"{page}, headers", str(answer.headers))

    async def _mailboxes(self) -> list[str]:
        return [mailbox.email_address for mailbox in await self.inkbox.mailboxes.list()]

    def check(self) -> None:
        """Nothing was seen of any canary."""
        assert self.canaries.leaks(self.watch.seen) == []


@pytest.fixture
async def world(sandbox: Sandbox) -> AsyncIterator[World]:
    async with sandbox.client(max_retries=0) as inkbox:
        world = World(sandbox, inkbox)
        with world.watch.listening():
            yield world


async def test_keys_and_organizations(world: World) -> None:
    sandbox, inkbox, watch = world.sandbox, world.inkbox, world.watch
    identity = await inkbox.create_identity("support-bot")
    created = await inkbox.api_keys.create(label="agent", scoped_identity_id=identity.id)
    world.key("the agent's key", created.api_key)
    organization = await sandbox.world.create_organization()
    world.key("another admin key", organization.api_key)
    world.canaries.add("another password", organization.password)
    signing = await identity.create_signing_key()
    world.canaries.add("the signing key", signing.signing_key.removeprefix("whsec_"))
    async with sandbox.client(created.api_key) as agent:
        watch.thing("answers", [created, organization, signing, agent, await agent.whoami()])
        await world.fails("what an agent may not do", agent.api_keys.create(label="x"))
    wrong = f"ApiKey_{uuid4()}.{secrets.token_hex(16)}"
    world.key("a wrong key", wrong)
    async with sandbox.client(wrong) as stranger:
        await world.fails("a wrong key", stranger.whoami())
    await world.look_around()
    world.check()
    assert {"CreatedApiKey", "SandboxOrganization", "SigningKey", "AsyncInkbox"} <= watch.objects


async def test_signing_up(world: World) -> None:
    sandbox, watch = world.sandbox, world.watch
    base_url = sandbox.base_url
    signup = await AsyncInkbox.signup("ann@example.com", note_to_human="Hi", base_url=base_url)
    world.key("the new agent's key", signup.api_key)
    code = await sandbox.world.signup_code("ann@example.com")
    watch.thing("answers", [signup, await AsyncInkbox.get_signup_status(signup.api_key, base_url=base_url)])
    wrong = "000000" if code != "000000" else "111111"
    for given in (wrong, "", f"{code}{code}", f"{code}\ud800"):
        with pytest.raises((InkboxError, ValueError)) as caught:
            await AsyncInkbox.verify_signup(signup.api_key, given, base_url=base_url)
        watch.error("a wrong code", caught.value)
    watch.thing("verified", await AsyncInkbox.verify_signup(signup.api_key, code, base_url=base_url))
    # The mail with the code is what the human reads: the outbox shows it, as it shows all mail.
    await world.look_around(outbox=False)
    world.check()
    number = re.compile(rf"(?<![0-9a-f.]){code}(?![0-9a-f])")
    assert [where for where, text in watch.seen if number.search(text) and "traceback" not in where] == []


async def test_webhooks(world: World) -> None:
    sandbox, inkbox, watch, canaries = world.sandbox, world.inkbox, world.watch, world.canaries
    names = ("bearer token", "user", "query")
    bearer, user, query = (f"canary{secrets.token_hex(12)}" for _ in names)
    for name, value in zip(names, (bearer, user, query), strict=True):
        canaries.add(name, value)
    identity = await inkbox.create_identity("support-bot")
    signing = await identity.create_signing_key()
    canaries.add("the signing key", signing.signing_key.removeprefix("whsec_"))
    receiver = Receiver()
    await receiver.start()
    try:
        assert identity.mailbox is not None
        subscription = await inkbox.webhooks.subscriptions.create(
            url=f"{receiver.url}?key={query}",
            event_types=["message.received"],
            mailbox_id=identity.mailbox.id,
            auth_token=bearer,
        )
        watch.thing("subscriptions", [subscription, await inkbox.webhooks.subscriptions.list()])
        receiver.answer(web.json_response({"client_websocket_url": f"wss://a.example/?token={query}"}))
        await sandbox.world.send_email(
            from_="ann@example.com", to=[identity.email_address or ""], subject="Hello", text="Hi"
        )
        delivery = await receiver.next()
        assert delivery.is_signed_with(signing.signing_key)
        await until(lambda: _has_attempts(sandbox))
        watch.thing("attempts", await sandbox.world.webhook_attempts())
        changed = await inkbox.webhooks.subscriptions.update(
            subscription.id, url=f"http://me:{user}@127.0.0.1:{receiver.port}/hooks", auth_token=None
        )
        watch.thing("the changed subscription", changed)
        receiver.answer(500)
        await sandbox.world.send_email(
            from_="ann@example.com", to=[identity.email_address or ""], subject="Again", text="Hi"
        )
        await receiver.next()
        watch.thing("attempts", await sandbox.world.webhook_attempts())
        watch.thing("the event", parse_webhook(delivery.body))
        for wrong in (str(delivery.body), None):
            with pytest.raises(TypeError) as caught:
                verify_webhook(payload=wrong, headers=delivery.headers, secret=signing.signing_key)  # type: ignore[arg-type]
            watch.error("a body of the wrong type", caught.value)
        with pytest.raises(ValueError, match="webhook") as refused:
            parse_webhook(json.dumps({"event_type": "message.received", "signing_key": bearer}))
        watch.error("no event", refused.value)
    finally:
        await receiver.stop()
    await world.look_around()
    world.check()
    assert {"WebhookSubscription", "WebhookAttempt", "MailEvent"} <= watch.objects


async def _has_attempts(sandbox: Sandbox) -> bool:
    return bool(await sandbox.world.webhook_attempts())


async def test_the_fastapi_dependency(world: World) -> None:
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

    from inkbox_async.webhooks.fastapi import WebhookReceiver

    secret = f"canary{secrets.token_hex(16)}"
    world.canaries.add("the signing key", secret)

    async def receive() -> dict[str, Any]:  # Any: an ASGI message
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def look_up() -> list[str]:
        return [secret]

    for source in (secret, [secret, "other"], lambda: secret, look_up):
        receiver = WebhookReceiver(source, max_age=300)
        world.watch.saw("the receiver", repr(receiver))
        request = Request({"type": "http", "method": "POST", "headers": []}, receive)
        with pytest.raises(HTTPException) as caught:
            await receiver(request)
        world.watch.error("a wrong signature", caught.value)
    for wrong in ([secret, ""], [secret, 5]):
        with pytest.raises(ValueError, match="signing key") as refused:
            WebhookReceiver(wrong)  # type: ignore[arg-type]
        world.watch.error("a wrong secret", refused.value)
    with pytest.raises(ValueError, match="max_age") as refused:
        WebhookReceiver(secret, max_age=-1)
    world.watch.error("a wrong age", refused.value)
    world.check()


async def test_calls_with_tokens_in_their_addresses(world: World) -> None:
    sandbox, inkbox, watch = world.sandbox, world.inkbox, world.watch
    token = f"canary{secrets.token_hex(12)}"
    world.canaries.add("the call's token", token)
    identity = await inkbox.create_identity("sales-agent")
    number = await identity.provision_phone_number(type="local", state="NY")
    async with serving(Agent()) as agent:
        url = f"{agent.url}&token={token}"
        updated = await inkbox.phone_numbers.update(
            number.id, incoming_call_action="auto_accept", client_websocket_url=url
        )
        placed = await sandbox.world.place_call(from_=ANN, to=number.number, hangup_after=0)
        call = await ended(inkbox, placed.call_id)
        dialled = await identity.place_call(to_number=ANN, client_websocket_url=url)
        agent.refuse = 500
        sandbox.clock.advance(1)
        refused = await sandbox.world.place_call(from_=ANN, to=number.number, hangup_after=0)
        watch.thing("calls", [updated, call, dialled, await ended(inkbox, refused.call_id)])
        watch.thing("the identity", await inkbox.get_identity("sales-agent"))
        assert token in str(agent.upgrades) or agent.upgrades, "the agent was reached"
    await world.look_around()
    world.check()
    assert "PhoneCall" in watch.objects


async def test_links_to_files(world: World) -> None:
    sandbox, inkbox, watch = world.sandbox, world.inkbox, world.watch
    identity = await inkbox.create_identity("support-bot")
    await sandbox.world.send_email(
        from_="ann@example.com",
        to=[identity.email_address or ""],
        subject="File",
        text="Here",
        attachments=[{"filename": "a.txt", "content_type": "text/plain", "content_base64": "aGk="}],
    )
    (message,) = [item async for item in identity.iter_emails()]
    for redirect in (False, True):
        link = await inkbox.messages.get_attachment(
            identity.email_address or "", message.id, "a.txt", redirect=redirect
        )
        (signature,) = re.findall(r"/([0-9a-f]{64})/", link.url)
        world.canaries.add("a link's signature", signature)
        watch.thing("a link", link)
        async with aiohttp.ClientSession() as session:
            for url in (
                link.url,
                link.url.replace("/a.txt", "/b.txt"),
                link.url.replace(signature, "0" * 64),
            ):
                async with session.get(url) as answer:
                    watch.saw("a file", await answer.text())
    await world.look_around()
    world.check()


async def test_a_tunnel_and_its_private_key(world: World, tmp_path: Path) -> None:
    sandbox, inkbox, watch = world.sandbox, world.inkbox, world.watch
    await inkbox.create_identity("my-app", tunnel={"tls_mode": "passthrough"})
    state = tmp_path / "state"

    async def app(scope: Any, receive: Any, send: Any) -> None:  # Any: ASGI
        raise RuntimeError("the application fails")

    options: dict[str, Any] = {  # Any: options of different types
        "name": "my-app",
        "forward_to": app,
        "state_dir": state,
        "ca": sandbox.ca_cert_path,
    }
    async with inkbox.tunnels.connect(**options) as listener:
        private = load_pem_private_key((state / "private_key.pem").read_bytes(), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        number = private.private_numbers().private_value
        world.canaries.add("the private key", number.to_bytes(32, "big"))
        world.canaries.add("the private key as a number", str(number))
        first_line = (state / "private_key.pem").read_text().splitlines()[1]
        world.canaries.add("the private key in its file", first_line[48:])
        async with sandbox.session() as session, session.get(listener.public_url) as answer:
            watch.saw("the application's failure", await answer.text())
        watch.thing("the listener", listener)
        watch.thing("tunnels", await inkbox.tunnels.list())
        for task in asyncio.all_tasks():
            watch.saw("a task", repr(task))
    (state / "cert_chain.pem").unlink()
    (state / "cert_chain.pem").mkdir()
    with pytest.raises(OSError, match="directory") as caught:
        async with inkbox.tunnels.connect(**options):
            pass
    watch.error("a state directory that cannot be written", caught.value)
    wrong = f"ApiKey_{uuid4()}.{secrets.token_hex(16)}"
    world.key("a wrong key", wrong)
    listener = inkbox.tunnels.connect(**{**options, "state_dir": tmp_path / "other"})
    listener._api_key = wrong
    with pytest.raises((TunnelAuthenticationError, InkboxError)) as rejected:
        await listener.serve_forever()
    watch.error("a rejected key", rejected.value)
    for address in (
        "http://u:canary-in-url@127.0.0.1:99999",
        "http://u:canary-in-url@127.0.0.1",
        "u:canary-in-url@x",
    ):
        world.canaries.add("a password in an address", "canary-in-url")
        with pytest.raises(ValueError, match="forward_to") as unusable:
            inkbox.tunnels.connect(**{**options, "forward_to": address})
        watch.error("an unusable address", unusable.value)
    await world.look_around()
    world.check()


def settings_attempts(secret: str, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """Settings that cannot be used, each with the secret in it."""
    key = f"ApiKey_{secret}"
    return [
        lambda: AsyncInkbox(f"{key} and more"),
        lambda: AsyncInkbox(key, base_url="ftp://inkbox.ai"),
        lambda: AsyncInkbox(key, base_url=f"https://me:{secret}@inkbox.ai"),
        lambda: AsyncInkbox(key, base_url=f"https://me:{secret}@inkbox.ai:port"),
        lambda: AsyncInkbox(key, base_url=f"https:me:{secret}@inkbox.ai"),
        lambda: AsyncInkbox(key, base_url=f"me:{secret}@inkbox.ai"),
        lambda: AsyncInkbox(key, base_url=f"https://inkbox.ai/?token={secret}"),
        lambda: AsyncInkbox(key, timeout=-1, vault_key=secret),
        lambda: AsyncInkbox(key.encode()),  # type: ignore[arg-type]
        lambda: AsyncInkbox(key, vault_key=secret.encode()),  # type: ignore[arg-type]
        lambda: AsyncInkbox(key, max_retries=-1),
        lambda: AsyncInkbox(f"{key}\ud800"),
    ]


def test_settings_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, canaries = Watch(), Canaries()
    secret = f"canary{secrets.token_hex(12)}"
    canaries.add("the secret", secret)
    with watch.listening():
        for attempt in settings_attempts(secret, monkeypatch):
            with pytest.raises(ValueError, match=r".") as caught:
                attempt()
            watch.error("settings", caught.value)
        watch.thing("a client", AsyncInkbox(f"ApiKey_{secret}", vault_key=secret))
    assert canaries.leaks(watch.seen) == []


@pytest.mark.parametrize(
    "target",
    [
        "http://me:{}@127.0.0.1:8000",
        "http://me:{}@127.0.0.1:port",
        "me:{}@127.0.0.1",
        "https://a.example/?key={}",
    ],
)
def test_the_command_line_shows_no_password(
    target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watch, canaries = Watch(), Canaries()
    secret = f"canary{secrets.token_hex(12)}"
    canaries.add("the secret", secret)
    monkeypatch.setenv("INKBOX_API_KEY", f"ApiKey_{secret}")
    assert main(["tunnel", "my-app", "--to", target.format(secret)]) == 2
    for name, text in zip(("output", "errors"), capsys.readouterr(), strict=True):
        watch.saw(name, text)
    assert "error" in str(watch.seen)
    assert canaries.leaks(watch.seen) == []


async def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, canaries = Watch(), Canaries()
    password = f"canary{secrets.token_hex(12)}"
    canaries.add("the proxy's password", password)
    answers = [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ]

    said = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers[said])
        writer.close()

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    try:
        with watch.listening():
            for scheme, place in (("http", port), ("http", 1), ("socks5", port), ("http", 99999)):
                for number in range(len(answers)):
                    said = number
                    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://me:{password}@127.0.0.1:{place}")
                    async with AsyncInkbox(
                        "ApiKey_x", base_url="https://inkbox.invalid", max_retries=0
                    ) as inkbox:
                        with pytest.raises(InkboxError) as caught:
                            await inkbox.whoami()
                        watch.error(f"{scheme} at {place}", caught.value)
                        watch.thing("the client", inkbox)
    finally:
        proxy.close()
        await proxy.wait_closed()
    assert canaries.leaks(watch.seen) == []


PAYLOADS: list[Callable[[str, Any], object]] = [
    lambda secret, other: LoginPayload(secret, username=other),
    lambda secret, other: LoginPayload("x", notes=secret, totp=other),
    lambda secret, other: LoginPayload(other, notes=secret),
    lambda secret, other: APIKeyPayload(secret, endpoint=other),
    lambda secret, other: KeyPairPayload("access", secret, endpoint=other),
    lambda secret, other: SSHKeyPayload(secret, passphrase=other),
    lambda secret, other: OtherPayload(secret, notes=other),
    lambda secret, other: parse_totp_uri(f"otpauth://totp/x?secret={secret}&digits=7"),
    lambda secret, other: parse_totp_uri(f"otpauth://totp/x?secret={secret}!"),
    lambda secret, other: parse_totp_uri(f"https://totp/x?secret={secret}"),
    lambda secret, other: parse_totp_uri(f"otpauth://hotp/x?secret={secret}"),
    lambda secret, other: parse_totp_uri(f"otpauth://totp/x?secret={secret}\ud800"),
    lambda secret, other: parse_totp_uri(f"otpauth://[totp/x?secret={secret}"),
]


@pytest.mark.parametrize("number", range(len(PAYLOADS)))
def test_payloads_that_cannot_be(number: int) -> None:
    watch, canaries = Watch(), Canaries()
    secret = "CANARY" + "ABCDEFGHIJKLMNOP"
    canaries.add("the secret", secret)
    with pytest.raises((TypeError, ValueError)) as caught:
        PAYLOADS[number](secret, 5)
    watch.error("a payload", caught.value)
    assert canaries.leaks(watch.seen) == []


async def test_the_vault_in_debug_mode(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything in the vault, while asyncio logs every callback with the reprs of its arguments."""
    monkeypatch.setattr("inkbox_async.vault.crypto.ARGON2_TIME_COST", 1)
    monkeypatch.setattr("inkbox_async.vault.crypto.ARGON2_MEMORY_COST", 8)
    sandbox, inkbox, watch, canaries = world.sandbox, world.inkbox, world.watch, world.canaries
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    seed = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXQ"
    password, note, ssh = (f'{secrets.token_hex(6)}"é&{secrets.token_hex(6)}' for _ in range(3))
    for name, value in (("seed", seed), ("password", password), ("note", note), ("ssh key", ssh)):
        canaries.add(name, value)
    salt = derive_salt(sandbox.organization_id)
    result = await inkbox.vault.initialize(KEY)
    for name, text in (
        ("key", KEY),
        ("next key", NEXT_KEY),
        *((f"code {n}", c) for n, c in enumerate(result.recovery_codes)),
    ):
        master = derive_master_key(text, salt)
        canaries.add(f"vault {name}", text)
        canaries.add(f"master key of vault {name}", master)
        canaries.add(f"auth hash of vault {name}", compute_auth_hash(master))
    unlocked = await inkbox.vault.unlock(KEY)
    identity = await inkbox.create_identity("support-bot")
    uri = f"otpauth://totp/x?secret={seed}"
    secret = await identity.create_secret(
        "Login", LoginPayload(password, totp=parse_totp_uri(uri), notes=note)
    )
    await unlocked.create_secret("SSH", SSHKeyPayload(ssh, passphrase=password))
    other = await unlocked.create_secret("Other", OtherPayload(note))
    await unlocked.update_secret(other.id, payload=OtherPayload(password))
    await identity.set_totp(secret.id, uri)
    code = await identity.get_totp_code(secret.id)
    canaries.add("the current code", f"'{code.code}'")
    replaced = await inkbox.vault.update_key(NEXT_KEY, recovery_code=result.recovery_codes[0])
    by_code = await inkbox.vault.unlock(result.recovery_codes[1], identity_id=identity.id)
    watch.thing(
        "the vault",
        [result, unlocked, identity, code, replaced, by_code, unlocked.secrets, identity.credentials],
    )
    watch.thing("a fetched secret", await unlocked.get_secret(secret.id))
    broken = LoginPayload(password, notes=note)
    broken.notes = 5  # type: ignore[assignment]
    for where, call in (
        ("a replaced key", inkbox.vault.unlock(KEY)),
        ("a used code", inkbox.vault.unlock(result.recovery_codes[0])),
        ("a weak key", inkbox.vault.update_key(KEY[:12], current_vault_key=NEXT_KEY)),
        ("a broken payload", unlocked.create_secret("Broken", broken)),
        ("a payload of another type", unlocked.update_secret(other.id, payload=LoginPayload(password))),
        ("no login", identity.set_totp(other.id, uri)),
        ("no seed", identity.set_totp(secret.id, uri + "!")),
    ):
        await world.fails(where, call)
    sandbox.faults.add(path="/api/v1/vault/*", drop=True)
    await world.fails("a lost connection", inkbox.vault.unlock(NEXT_KEY))
    task = asyncio.create_task(inkbox.vault.unlock(NEXT_KEY))
    await asyncio.sleep(0)
    watch.saw("a task", repr(task))
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await task
    watch.error("cancelled", cancelled.value)
    loop.set_debug(False)
    await world.look_around()
    world.check()
    assert {
        "UnlockedVault",
        "DecryptedVaultSecret",
        "LoginPayload",
        "TOTPConfig",
        "TOTPCode",
    } <= watch.objects
    assert [where for where, _ in watch.seen if where == "log of asyncio"], "asyncio logged its callbacks"
