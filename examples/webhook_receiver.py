"""A FastAPI route that receives signed events, typed.

    python examples/webhook_receiver.py

Runs on a local Inkbox: a mail comes in, and the route is told.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI

from inkbox_async import MailEvent, WebhookEvent
from inkbox_async.sandbox import Sandbox
from inkbox_async.webhooks.fastapi import WebhookReceiver


def build_app(signing_key: str, heard: asyncio.Queue[str]) -> FastAPI:
    """An application whose route is called for genuine events only; anything else gets 403."""
    app = FastAPI()
    receiver = WebhookReceiver(signing_key, max_age=300)

    @app.post("/inkbox", status_code=204)
    async def on_event(event: Annotated[WebhookEvent, Depends(receiver)]) -> None:
        if isinstance(event, MailEvent):
            message = event.data.message
            await heard.put(f"{event.event_type}: {message.subject!r} from {message.from_address}")

    return app


@asynccontextmanager
async def serve(app: FastAPI) -> AsyncIterator[str]:
    """Serves an application on a free port of this machine, and gives its address."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def main() -> None:
    """Subscribes a route to mail, has somebody write, and prints what the route was told."""
    async with Sandbox() as sandbox, sandbox.client() as inkbox:
        identity = await inkbox.create_identity("listener")
        key = await identity.create_signing_key()
        assert identity.mailbox is not None
        heard: asyncio.Queue[str] = asyncio.Queue()
        async with serve(build_app(key.signing_key, heard)) as url:
            await inkbox.webhooks.subscriptions.create(
                mailbox_id=identity.mailbox.id, url=f"{url}/inkbox", event_types=["message.received"]
            )
            await sandbox.world.send_email(
                from_="Ada Lovelace <ada@example.com>",
                to=[identity.mailbox.email_address],
                subject="The engine runs",
            )
            print(f"The route was told: {await asyncio.wait_for(heard.get(), 10)}")


if __name__ == "__main__":
    asyncio.run(main())
