"""The upgrade to a call's WebSocket: what it tells the agent, and what the agent's answer settles."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from sqlite3 import Row
from types import SimpleNamespace
from typing import Any

import aiohttp

from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.signing_keys import signing_secret
from inkbox_async.sandbox.store import Tx
from inkbox_async.sandbox.webhooks.destinations import refusal
from inkbox_async.sandbox.webhooks.matching import match_party
from inkbox_async.sandbox.webhooks.posting import reason_of
from inkbox_async.secrecy import public_url
from inkbox_async.webhooks.signature import REQUEST_ID_HEADER, signed_headers

CONTEXT_HEADER = "X-Call-Context"
TTS_HEADER = "X-Use-Inkbox-Text-To-Speech"
STT_HEADER = "X-Use-Inkbox-Speech-To-Text"

TIMEOUT = 10.0
"""Seconds that an agent has to take a call: real ones, for it works in real time."""
MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_CONTACTS = 50
MAX_CONTEXT_LENGTH = 4096
"""Characters of `X-Call-Context`: many servers read 8 KiB of a header. Contacts beyond that are left out."""


class NoAgent(Exception):
    """Nobody took the call at the WebSocket's address. The message says why."""


@dataclass(frozen=True, slots=True)
class Line:
    """An open WebSocket to an agent.

    Attributes:
        socket: The WebSocket.
        tts: Whether the agent sends text to be spoken; otherwise it sends sound.
        stt: Whether the agent gets what is said as text; otherwise as sound.
    """

    socket: aiohttp.ClientWebSocketResponse
    tts: bool
    stt: bool


class Handshakes:
    """Remembers the headers of answers to upgrades, which a WebSocket of aiohttp does not tell.

    It also keeps upgrades from being redirected, which aiohttp cannot be told either: what an agent is told
    about a call is for the address that was given, and nothing leaves this machine by a detour.
    """

    def __init__(self) -> None:
        self._answers: dict[str, Mapping[str, str]] = {}

    def trace(self) -> aiohttp.TraceConfig:
        """What a session needs so that its upgrades are remembered."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._remember)
        config.on_request_redirect.append(self._refuse)
        return config

    def take(self, request_id: str) -> Mapping[str, str]:
        """The headers of the answer to one upgrade, once."""
        return self._answers.pop(request_id, {})

    async def _remember(
        self,
        session: aiohttp.ClientSession,
        context: SimpleNamespace,
        parameters: aiohttp.TraceRequestEndParams,
    ) -> None:
        if parameters.response.status == 101:
            request_id = parameters.headers.get(REQUEST_ID_HEADER, "")
            self._answers[request_id] = parameters.response.headers

    async def _refuse(
        self,
        session: aiohttp.ClientSession,
        context: SimpleNamespace,
        parameters: aiohttp.TraceRequestRedirectParams,
    ) -> None:
        raise aiohttp.ClientError(f"it answered {parameters.response.status}, and redirects are not followed")


def context_of(tx: Tx, call: Row) -> tuple[str, str | None]:
    """What an agent is told about a call, as the text of `X-Call-Context`, and what to sign it with."""
    contacts, agents = match_party(tx, call["organization_id"], call["identity_id"], call["remote_number"])
    context: dict[str, Any] = {  # Any: JSON values of every type
        "call_id": call["id"],
        "phone_number": call["local_number"],
        "direction": call["direction"],
        "remote_phone_number": call["remote_number"],
        "contacts": contacts[:MAX_CONTACTS],
        "agent_identities": agents,
    }
    text = _spelled(context)
    while len(text) > MAX_CONTEXT_LENGTH and context["contacts"]:
        context["contacts"].pop()
        text = _spelled(context)
    return text, signing_secret(tx, call["organization_id"], call["identity_id"])


async def connect(
    session: aiohttp.ClientSession,
    handshakes: Handshakes,
    settings: Settings,
    url: str,
    context: str,
    secret: str | None,
) -> Line:
    """Open the WebSocket of a call.

    Raises:
        NoAgent: It cannot be opened, is refused, or is not on this machine.
    """
    if (reason := refusal(url, settings)) is not None:
        raise NoAgent(reason)
    request_id = str(uuid.uuid4())
    # Agents compare with their own clock: this is real time, however far the sandbox's was moved.
    headers = signed_headers(
        payload=context.encode(), request_id=request_id, timestamp=int(time.time()), secret=secret
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            socket = await session.ws_connect(
                url, headers={CONTEXT_HEADER: context, **headers}, max_msg_size=MAX_FRAME_BYTES
            )
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise NoAgent(f"{public_url(url)} did not take the call: {reason_of(error)}") from error
    finally:
        answer = handshakes.take(request_id)
    return Line(socket, tts=_is_on(answer, TTS_HEADER), stt=_is_on(answer, STT_HEADER))


def _spelled(context: dict[str, Any]) -> str:  # Any: JSON values of every type
    return json.dumps(context, separators=(",", ":"))


def _is_on(answer: Mapping[str, str], name: str) -> bool:
    return answer.get(name, "true").strip().lower() != "false"
