"""A process that is killed under load, several times over: what it answered is kept whole, and is told of."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import re
import shutil
import signal
import smtplib
import sqlite3
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from inkbox_async.webhooks import verify_webhook

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

JSON = Any  # Any: JSON values of every type
Listed = list[tuple[str, JSON]]
ROUNDS = 4
ANSWERS_A_ROUND = 150
"""How many answers there are before the process is killed, with a request under way on every channel."""
PATIENCE = 60.0
"""Seconds after which an event that should come is taken not to: only failing tests wait so long."""
REGISTRATION = 20 * 60
PERSON = "+15550100001"
OUTSIDER = "ann@example.com"
MAILER = "bob@example.com"
FILE = base64.b64encode(b"x" * 5000).decode()
LABEL = re.compile(r"load-\d+")


@dataclass
class Server:
    """A running process and its addresses."""

    process: asyncio.subprocess.Process
    places: dict[str, JSON]

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


@asynccontextmanager
async def running(data: Path) -> AsyncIterator[Server]:
    """A sandbox in a process of its own, killed at the latest at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "inkbox_async.sandbox", "--json", f"--data={data}"),
        *("--port=0", "--smtp-port=0", "--edge-port=0"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await process.stdout.readline()
    server = Server(process, json.loads(line))
    try:
        yield server
    finally:
        if process.returncode is None:
            await server.kill()
        await process.communicate()


class Api:
    """Plain calls to the process that is running now; nothing is repeated."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.places: dict[str, JSON] = {}

    async def call(
        self,
        method: str,
        path: str,
        body: JSON = None,
        *,
        query: Mapping[str, str | int] | None = None,
        once: str | None = None,
    ) -> JSON:
        url, headers = self.places["base_url"] + path, {"X-API-Key": self.places["api_key"]}
        if once is not None:
            headers["Idempotency-Key"] = once
        async with self._session.request(method, url, json=body, params=query, headers=headers) as response:
            text = await response.text()
            assert response.status < 300, (method, path, response.status, text)
            return json.loads(text) if text else None


@dataclass
class Channel:
    """One way to store something.

    Attributes:
        send: Stores something under a label; an answer is a promise.
        stored: All that is stored this way, with its label, in a form that is `whole` if nothing is missing.
        whole: What a stored thing has to look like.
        event: The type of the event that tells of it, if there is one.
        repeatable: Whether what was not answered can be sent again, and is stored once all the same.
    """

    send: Callable[[str], Awaitable[object]]
    stored: Callable[[], Awaitable[list[tuple[str, JSON]]]]
    whole: Callable[[str], JSON]
    event: str | None = None
    repeatable: bool = False
    begun: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)

    async def verify(self, name: str) -> None:
        """What was answered is there, what was not may be, and nothing is there in part, or twice."""
        if self.repeatable:
            for label in self.begun - self.answered:
                await self.send(label)
                self.answered.add(label)
        listed = await self.stored()
        found = dict(listed)
        assert len(found) == len(listed), f"{name}: stored twice: {sorted(label for label, _ in listed)}"
        assert self.answered <= found.keys(), f"{name}: lost {sorted(self.answered - found.keys())}"
        assert found.keys() <= self.begun, f"{name}: nobody sent {sorted(found.keys() - self.begun)}"
        partial = {label: thing for label, thing in found.items() if thing != self.whole(label)}
        assert not partial, f"{name}: not whole: {partial}"


class Agent:
    """An identity with every channel, and people who use them."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.secret = ""
        self._number: JSON = None
        self._address = ""
        self._identity = ""
        self._conversation = ""

    async def move_in(self, hook: str) -> None:
        call = self._api.call
        organization = self._api.places["organization_id"]
        no_limits = dict.fromkeys(
            ("identities", "mail_sends_per_day", "text_sends_per_day", "imessage_sends_per_day")
        )
        await call("PATCH", f"/_sandbox/organizations/{organization}", {"limits": no_limits})
        wanted = {"agent_handle": "agent", "imessage_enabled": True, "phone_number": {"type": "local"}}
        identity = await call("POST", "/api/v1/identities/", wanted)
        self._identity, self._address = identity["id"], identity["email_address"]
        self._number = identity["phone_number"]
        key = {"wrapped_org_encryption_key": "wrapped", "auth_hash": "ab" * 32, "key_type": "primary"}
        vault_key = {"id": "00000000-0000-4000-8000-000000000001", **key}
        await call("POST", "/api/v1/vault/initialize", {"vault_key": vault_key, "recovery_keys": []})
        await call("POST", "/_sandbox/clock", {"advance_seconds": REGISTRATION})
        await self._say("texts", to=self._number["number"], text="START")
        await self._say("imessages", text="connect @agent")
        self._conversation = (await self._say("imessages", text="Hi"))["conversation_id"]
        self.secret = (await call("POST", "/api/v1/signing-keys", {}))["signing_key"]
        for owner, events in (
            ({"mailbox_id": identity["mailbox"]["id"]}, ["message.received", "message.sent"]),
            ({"phone_number_id": self._number["id"]}, ["text.received", "text.sent"]),
            ({"agent_identity_id": self._identity}, ["imessage.received"]),
        ):
            subscription = {"url": hook, "event_types": events, **owner}
            await call("POST", "/api/v1/webhooks/subscriptions", subscription)

    def channels(self) -> dict[str, Channel]:
        mail, text = self._mail, self._texts
        return {
            "mail out": Channel(
                self._mail_out, lambda: mail("outbound", self._address), self._whole_mail, "message.sent"
            ),
            "mail in": Channel(
                self._mail_in, lambda: mail("inbound", OUTSIDER), self._whole_mail, "message.received"
            ),
            "mail by SMTP": Channel(
                self._mail_by_smtp, lambda: mail("inbound", MAILER), self._whole_mail, "message.received"
            ),
            "text out": Channel(
                self._text_out, lambda: text("outbound"), self._whole_text, "text.sent", True
            ),
            "text in": Channel(self._text_in, lambda: text("inbound"), self._whole_text, "text.received"),
            "imessage in": Channel(
                self._imessage_in, self._imessages, lambda _: self._conversation, "imessage.received"
            ),
            "call": Channel(self._call, self._calls, lambda _: True),
            "secret": Channel(self._secret, self._secrets, lambda label: f"sealed {label}"),
            "contact": Channel(self._contact, self._contacts, lambda label: [f"{label}@example.com"]),
            "note": Channel(self._note, self._notes, lambda label: f"About {label}"),
            "identity": Channel(
                self._new_identity, self._identities, lambda label: [f"{label}@inkboxmail.com", label]
            ),
        }

    async def _say(self, channel: str, **body: JSON) -> JSON:
        return await self._api.call("POST", f"/_sandbox/{channel}", {"from": PERSON, **body})

    async def _pages(self, path: str, **query: str | int) -> list[JSON]:
        """Everything in a list that is paged by offset."""
        found: list[JSON] = []
        while True:
            place = {"limit": 100, "offset": len(found)}
            page = await self._api.call("GET", path, query={**query, **place})
            if not page:
                return found
            found += page

    async def _mail_out(self, label: str) -> None:
        file = {"filename": "f.txt", "content_type": "text/plain", "content_base64": FILE}
        body = {
            "recipients": {"to": [OUTSIDER]},
            "subject": label,
            "body_text": f"About {label}",
            "attachments": [file],
        }
        await self._api.call("POST", f"/api/v1/mail/mailboxes/{self._address}/messages", body, once=label)

    async def _mail_in(self, label: str) -> None:
        file = {"filename": "f.txt", "content_type": "text/plain", "content_base64": FILE}
        body = {"to": [self._address], "subject": label, "text": f"About {label}", "attachments": [file]}
        await self._api.call("POST", "/_sandbox/emails", {"from": OUTSIDER, **body})

    async def _mail_by_smtp(self, label: str) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = MAILER, self._address, label
        message.set_content(f"About {label}")
        message.add_attachment(b"x" * 5000, "application", "octet-stream", filename="f.bin")

        def send() -> None:
            host, port = self._api.places["smtp_host"], self._api.places["smtp_port"]
            with smtplib.SMTP(host, port, local_hostname="outside") as client:
                client.send_message(message)

        await asyncio.to_thread(send)

    async def _mail(self, direction: str, sender: str) -> Listed:
        path = f"/api/v1/mail/mailboxes/{self._address}"
        found: Listed = []
        query: dict[str, str | int] = {"direction": direction, "limit": 100}
        while True:
            page = await self._api.call("GET", f"{path}/messages", query=query)
            for item in (one for one in page["items"] if one["from_address"] == sender):
                whole = await self._api.call("GET", f"{path}/messages/{item['id']}")
                thread = await self._api.call("GET", f"{path}/threads/{item['thread_id']}")
                assert item["id"] in [message["id"] for message in thread["messages"]]
                found.append((item["subject"], (whole["body_text"].strip(), whole["has_attachments"])))
            if not page["has_more"]:
                return found
            query["cursor"] = page["next_cursor"]

    def _whole_mail(self, label: str) -> JSON:
        return (f"About {label}", True)

    async def _text_out(self, label: str) -> None:
        path = f"/api/v1/phone/numbers/{self._number['id']}/texts"
        await self._api.call("POST", path, {"to": PERSON, "text": label}, once=label)

    async def _text_in(self, label: str) -> None:
        await self._say("texts", to=self._number["number"], text=label)

    async def _texts(self, direction: str) -> Listed:
        texts = await self._pages(f"/api/v1/phone/numbers/{self._number['id']}/texts")
        return [
            (item["text"], self._whole_text(item["text"]))
            for item in texts
            if item["direction"] == direction and LABEL.fullmatch(item["text"])
        ]

    def _whole_text(self, label: str) -> JSON:
        return label

    async def _imessage_in(self, label: str) -> None:
        await self._say("imessages", text=label)

    async def _imessages(self) -> Listed:
        found = await self._pages("/api/v1/imessage/messages", agent_identity_id=self._identity)
        return [
            (item["content"], item["conversation_id"]) for item in found if LABEL.fullmatch(item["content"])
        ]

    async def _call(self, label: str) -> None:
        caller = f"+1555{int(label.partition('-')[2]):07}"
        await self._api.call("POST", "/_sandbox/calls", {"from": caller, "to": self._number["number"]})

    async def _calls(self) -> Listed:
        """Calls of an earlier process have ended with it."""
        found = await self._pages("/api/v1/phone/calls", agent_identity_id=self._identity)
        return [
            (f"load-{int(item['remote_phone_number'].removeprefix('+1555'))}", item["ended_at"] is not None)
            for item in found
        ]

    async def _secret(self, label: str) -> None:
        body = {"name": label, "secret_type": "login", "encrypted_payload": f"sealed {label}"}
        await self._api.call("POST", "/api/v1/vault/secrets", body)

    async def _secrets(self) -> Listed:
        bundle = await self._api.call("GET", "/api/v1/vault/unlock", query={"auth_hash": "ab" * 32})
        return [(item["name"], item["encrypted_payload"]) for item in bundle["encrypted_secrets"]]

    async def _contact(self, label: str) -> None:
        body = {"given_name": label, "emails": [{"value": f"{label}@example.com"}]}
        await self._api.call("POST", "/api/v1/contacts", body)

    async def _contacts(self) -> Listed:
        found = await self._pages("/api/v1/contacts")
        return [(item["given_name"], [email["value"] for email in item["emails"]]) for item in found]

    async def _note(self, label: str) -> None:
        await self._api.call("POST", "/api/v1/notes", {"title": label, "body": f"About {label}"})

    async def _notes(self) -> Listed:
        return [(item["title"], item["body"]) for item in await self._pages("/api/v1/notes")]

    async def _new_identity(self, label: str) -> None:
        await self._api.call("POST", "/api/v1/identities/", {"agent_handle": label})

    async def _identities(self) -> Listed:
        found: Listed = []
        for item in await self._api.call("GET", "/api/v1/identities/"):
            if LABEL.fullmatch(item["agent_handle"]):
                whole = await self._api.call("GET", f"/api/v1/identities/{item['agent_handle']}")
                parts = [whole["mailbox"]["email_address"], whole["tunnel"]["tunnel_name"]]
                found.append((item["agent_handle"], parts))
        return found


class Hook:
    """Takes webhooks, and remembers which event told of which label."""

    def __init__(self) -> None:
        self.events: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.deliveries: list[tuple[dict[str, str], bytes]] = []
        self.url = ""
        self._arrived = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        event = json.loads(body)
        self.deliveries.append((dict(request.headers), body))
        for label in set(LABEL.findall(body.decode())):
            self.events[event["event_type"], label].add(event["id"])
        self._arrived.set()
        return web.Response(status=204)

    async def told_of(self, expected: set[tuple[str, str]]) -> None:
        """Wait until there was an event of a type for a label, for each of these."""
        async with asyncio.timeout(PATIENCE):
            while not expected <= self.events.keys():
                self._arrived.clear()
                await self._arrived.wait()


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    application = web.Application()
    application.router.add_post("/", hook.take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield hook
    await runner.cleanup()


async def load(server: Server, api: Api, channels: dict[str, Channel], labels: Iterator[int]) -> datetime:
    """Use every channel at the same time, and kill the process in the middle of it; when, by its clock."""
    enough = asyncio.Event()
    before = sum(len(channel.answered) for channel in channels.values())

    async def write(channel: Channel) -> None:
        while True:
            label = f"load-{next(labels)}"
            channel.begun.add(label)
            try:
                await channel.send(label)
            except (aiohttp.ClientError, OSError):
                return  # killed
            channel.answered.add(label)
            if sum(len(one.answered) for one in channels.values()) - before >= ANSWERS_A_ROUND:
                enough.set()

    async with asyncio.TaskGroup() as writers:
        for channel in channels.values():
            writers.create_task(write(channel))
        await enough.wait()
        now = await advance(api, 3600)
        await server.kill()
    return now


async def advance(api: Api, seconds: float) -> datetime:
    """Move the sandbox's clock; the time that it shows then."""
    answer = await api.call("POST", "/_sandbox/clock", {"advance_seconds": seconds})
    return datetime.fromisoformat(answer["now"])


def check_database(data: Path, copy: Path) -> None:
    """SQLite finds nothing wrong with what a killed process leaves, log included."""
    for path in data.parent.glob(f"{data.name}*"):
        if path.is_file():
            shutil.copy(path, copy.with_name(copy.name + path.name.removeprefix(data.name)))
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def promised_events(channels: dict[str, Channel]) -> set[tuple[str, str]]:
    """What has to be told of: everything that was answered and has an event."""
    return {
        (channel.event, label)
        for channel in channels.values()
        if channel.event is not None
        for label in channel.answered
    }


async def test_killed_again_and_again_under_load_it_keeps_every_promise(tmp_path: Path, hook: Hook) -> None:
    data = tmp_path / "inkbox.db"
    labels = itertools.count(1)
    async with aiohttp.ClientSession() as session:
        api = Api(session)
        agent = Agent(api)
        channels = agent.channels()
        killed_at = datetime.min.replace(tzinfo=UTC)
        for round_number in range(ROUNDS + 1):
            async with running(data) as server:
                api.places = server.places
                if round_number == 0:
                    await agent.move_in(hook.url)
                assert await advance(api, 0) > killed_at, "the clock was moved, and does not run backwards"
                for name, channel in channels.items():
                    await channel.verify(f"{name}, round {round_number}")
                if round_number < ROUNDS:
                    killed_at = await load(server, api, channels, labels)
                    check_database(data, tmp_path / f"copy-{round_number}.db")
                else:
                    await hook.told_of(promised_events(channels))
    assert all(channel.answered for channel in channels.values()), "every channel was in use"
    for headers, body in hook.deliveries:
        assert verify_webhook(payload=body, headers=headers, secret=agent.secret)
    repeated = {what: ids for what, ids in hook.events.items() if len(ids) != 1}
    assert not repeated, "one thing that happened is one event, however often it is delivered"
