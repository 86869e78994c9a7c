"""Mail through the front door: mailboxes, messages, and people who write by SMTP."""

from __future__ import annotations

import asyncio
import email.message
import smtplib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from inkbox_async.sandbox import Sandbox

from .. import api as plain
from ..api import JSON


class Api(plain.Api):
    """Calls the sandbox's API with one key."""

    async def identity(self, handle: str, **options: JSON) -> str:
        """Create an identity; returns its address."""
        body = {"agent_handle": handle, **options}
        address: str = (await self.ok("POST", "/identities", body))["email_address"]
        return address

    async def agent(self, address: str) -> Api:
        """A caller with a key of the agent that owns a mailbox."""
        mailbox = await self.ok("GET", f"/mail/mailboxes/{address}")
        body = {"label": "test", "scoped_identity_id": mailbox["agent_identity_id"]}
        return self.with_key((await self.ok("POST", "/api-keys", body))["api_key"])

    async def send(self, address: str, *to: str, **fields: JSON) -> JSON:
        """Send a message from a mailbox."""
        body = {"recipients": {"to": list(to)}, "subject": "Hello", "body_text": "Hi", **fields}
        return await self.ok("POST", f"/mail/mailboxes/{address}/messages", body)

    async def messages(self, address: str, **query: str | int) -> list[JSON]:
        """The first page of a mailbox's messages."""
        items: list[JSON] = (await self.ok("GET", f"/mail/mailboxes/{address}/messages", **query))["items"]
        return items

    async def message(self, address: str, message_id: str) -> JSON:
        """One message with its body."""
        return await self.ok("GET", f"/mail/mailboxes/{address}/messages/{message_id}")

    async def settled(self, address: str, message_id: str) -> JSON:
        """A sent message once its delivery has ended."""
        while True:
            message = await self.message(address, message_id)
            if message["status"] not in ("queued", "sent"):
                return message
            await asyncio.sleep(0.005)

    async def receive(self, to: str, from_: str = "ann@example.com", **fields: Any) -> JSON:
        """Mail from outside; returns the delivery."""
        result = await self.sandbox.world.send_email(from_=from_, to=[to], **{"text": "Hi", **fields})
        return result.deliveries[0].model_dump(mode="json")

    async def events(self) -> list[tuple[str, JSON]]:
        """(type, message) of every event so far, oldest first."""
        rows = await self.sandbox.store.run(
            lambda tx: tx.all(
                "SELECT event_type, json_extract(payload, '$.data.message') AS message "
                "FROM events ORDER BY seq"
            )
        )
        return [(row["event_type"], row["message"]) for row in rows]


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[Api]:
    """The admin of the ready-made organization."""
    async with aiohttp.ClientSession() as session:
        yield Api(sandbox, session, sandbox.api_key)


async def by_smtp(sandbox: Sandbox, message: email.message.EmailMessage | bytes, **envelope: Any) -> None:
    """Send one message to the SMTP port; `envelope` goes on to `smtplib`."""

    def send() -> None:
        with smtplib.SMTP(
            sandbox.smtp_host or "", sandbox.smtp_port or 0, local_hostname="outside"
        ) as client:
            if isinstance(message, bytes):
                client.sendmail(msg=message, **envelope)
            else:
                client.send_message(message, **envelope)

    await asyncio.to_thread(send)
