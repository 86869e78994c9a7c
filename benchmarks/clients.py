"""The same work for each client: ours, the official one alone and in threads, and aiohttp on its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

from .stub_data import ADDRESS, HANDLE, MESSAGE_ID, PAGE_SIZE

KEY = "ApiKey_6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
TO = ["ada@example.com"]
SUBJECT = "Re: The analytical engine"
TEXT = "Thank you, that is just what I was looking for. I will be there on Thursday at four."

AsyncCall = Callable[[], Awaitable[object]]
BlockingCall = Callable[[], object]


class AsyncClient(Protocol):
    """A client for one event loop."""

    def call(self, what: str) -> AsyncCall:
        """One call by its name: `send`, `send_email`, `get`, `page`."""

    async def walk(self, pages: int, pause: float) -> int:
        """Iterate over the items of so many pages, pausing once a page; returns their number."""


class BlockingClient(Protocol):
    """A client for threads."""

    transport_error: type[Exception]

    def call(self, what: str) -> BlockingCall:
        """As `AsyncClient.call`."""

    def walk(self, pages: int, pause: float) -> int:
        """As `AsyncClient.walk`."""


def mailbox(pages: int) -> str:
    """The mailbox of the stub server that has so many pages."""
    return f"pages-{pages}@inkboxmail.com"


@asynccontextmanager
async def async_client(kind: str, url: str) -> AsyncIterator[AsyncClient]:
    """`ours`, `aiohttp`, or `to_thread`: the official client as asynchronous programs have to use it."""
    if kind == "ours":
        from inkbox_async import AsyncInkbox

        async with AsyncInkbox(KEY, base_url=url) as client:
            yield await _Ours.of(client)
    elif kind == "aiohttp":
        import aiohttp

        async with aiohttp.ClientSession() as session:
            yield _Aiohttp(session, url)
    else:
        with blocking_client(url) as official:
            yield _ToThread(official)


@contextmanager
def blocking_client(url: str) -> Iterator[BlockingClient]:
    """The official client."""
    import inkbox

    with inkbox.Inkbox(KEY, base_url=url) as client:
        yield _Official(client)


class _Ours:
    def __init__(self, client: Any, identity: Any) -> None:  # Any: imported in the process that needs them
        self._client = client
        self._identity = identity

    @classmethod
    async def of(cls, client: Any) -> _Ours:  # Any: as above
        return cls(client, await client.get_identity(HANDLE))

    def call(self, what: str) -> AsyncCall:
        messages, identity = self._client.messages, self._identity
        calls: dict[str, AsyncCall] = {
            "send": lambda: messages.send(ADDRESS, to=TO, subject=SUBJECT, body_text=TEXT),
            "send_email": lambda: identity.send_email(to=TO, subject=SUBJECT, body_text=TEXT),
            "get": lambda: messages.get(ADDRESS, MESSAGE_ID),
            "page": lambda: messages.list(ADDRESS),
        }
        return calls[what]

    async def walk(self, pages: int, pause: float) -> int:
        items = 0
        async for message in self._client.messages.list(mailbox(pages)):
            items += message.subject != message.from_address
            if pause and not items % PAGE_SIZE:
                await asyncio.sleep(pause)
        return items


class _Aiohttp:
    """What a programmer writes who needs a few calls and no package."""

    def __init__(self, session: Any, url: str) -> None:  # Any: as above
        self._session = session
        self._mailboxes = f"{url}/api/v1/mail/mailboxes"
        self._headers = {"X-API-Key": KEY, "Accept": "application/json"}

    def call(self, what: str) -> AsyncCall:
        return {"send": self._send, "send_email": self._send, "get": self._get, "page": self._page}[what]

    async def _send(self) -> object:
        body = {"recipients": {"to": TO}, "subject": SUBJECT, "body_text": TEXT}
        url = f"{self._mailboxes}/{ADDRESS}/messages"
        async with self._session.post(url, headers=self._headers, json=body) as response:
            return json.loads(await response.read())

    async def _get(self) -> object:
        url = f"{self._mailboxes}/{ADDRESS}/messages/{MESSAGE_ID}"
        async with self._session.get(url, headers=self._headers) as response:
            return json.loads(await response.read())

    async def _page(self) -> object:
        return await self._list(ADDRESS, {"limit": PAGE_SIZE})

    async def _list(self, address: str, query: Mapping[str, object]) -> dict[str, Any]:  # Any: JSON
        url = f"{self._mailboxes}/{address}/messages"
        async with self._session.get(url, headers=self._headers, params=query) as response:
            page: dict[str, Any] = json.loads(await response.read())
            return page

    async def walk(self, pages: int, pause: float) -> int:
        items = 0
        query: dict[str, object] = {"limit": PAGE_SIZE}
        while True:
            page = await self._list(mailbox(pages), query)
            for message in page["items"]:
                items += message["subject"] != message["from_address"]
            if pause:
                await asyncio.sleep(pause)
            if not page["has_more"]:
                return items
            query = {"limit": PAGE_SIZE, "cursor": page["next_cursor"]}


class _Official:
    def __init__(self, client: Any) -> None:  # Any: as above
        import httpx

        self.transport_error: type[Exception] = httpx.TransportError
        self._client = client
        self._identity = client.get_identity(HANDLE)

    def call(self, what: str) -> BlockingCall:
        messages, identity = self._client.messages, self._identity
        calls: dict[str, BlockingCall] = {
            "send": lambda: messages.send(ADDRESS, to=TO, subject=SUBJECT, body_text=TEXT),
            "send_email": lambda: identity.send_email(to=TO, subject=SUBJECT, body_text=TEXT),
            "get": lambda: messages.get(ADDRESS, MESSAGE_ID),
            "page": lambda: list(messages.list(ADDRESS)),
        }
        return calls[what]

    def walk(self, pages: int, pause: float) -> int:
        items = 0
        for message in self._client.messages.list(mailbox(pages)):
            items += message.subject != message.from_address
            if pause and not items % PAGE_SIZE:
                time.sleep(pause)
        return items


class _ToThread:
    def __init__(self, client: BlockingClient) -> None:
        self._client = client

    def call(self, what: str) -> AsyncCall:
        call = self._client.call(what)

        async def threaded() -> object:
            try:
                return await asyncio.to_thread(call)
            except self._client.transport_error:
                return None

        return threaded

    async def walk(self, pages: int, pause: float) -> int:
        return await asyncio.to_thread(self._client.walk, pages, pause)
