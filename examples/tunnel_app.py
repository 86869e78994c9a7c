"""A local FastAPI application at a public HTTPS address: people call it, and signed webhooks reach it.

    python examples/tunnel_app.py

Runs on a local Inkbox, whose tunnel edge is real: HTTP/2 to the listener, TLS to the callers.
"""

import asyncio
import tempfile
from typing import Annotated

from fastapi import Depends, FastAPI

from inkbox_async import MailEvent, WebhookEvent
from inkbox_async.sandbox import Sandbox
from inkbox_async.webhooks.fastapi import WebhookReceiver


def build_app(signing_key: str, heard: asyncio.Queue[str]) -> FastAPI:
    """One page for people, and one route for Inkbox."""
    app = FastAPI()
    receiver = WebhookReceiver(signing_key, max_age=300)

    @app.get("/hello/{name}")
    async def hello(name: str) -> dict[str, str]:
        return {"message": f"Hello {name}!"}

    @app.post("/inkbox", status_code=204)
    async def on_event(event: Annotated[WebhookEvent, Depends(receiver)]) -> None:
        if isinstance(event, MailEvent):
            await heard.put(f"{event.event_type}: {event.data.message.subject!r}")

    return app


async def main() -> None:
    """Brings the application online, calls it from outside, and has a webhook delivered to it."""
    async with Sandbox() as sandbox, sandbox.client() as inkbox:
        identity = await inkbox.create_identity("my-app")
        assert identity.mailbox is not None
        key = await identity.create_signing_key()
        heard: asyncio.Queue[str] = asyncio.Queue()
        app = build_app(key.signing_key, heard)
        # The sandbox lives for a moment: what is remembered of its tunnel does, too.
        with tempfile.TemporaryDirectory() as state:
            tunnel = inkbox.tunnels.connect(
                name="my-app", forward_to=app, ca=sandbox.ca_cert_path, state_dir=state
            )
            async with tunnel as listener, sandbox.session() as browser:
                print(f"The application is at {listener.public_url}")
                async with browser.get(f"{listener.public_url}/hello/ada") as response:
                    print(f"Somebody calls it: {response.status} {await response.text()}")
                await inkbox.webhooks.subscriptions.create(
                    mailbox_id=identity.mailbox.id,
                    url=f"{listener.public_url}/inkbox",
                    event_types=["message.received"],
                )
                await sandbox.world.send_email(
                    from_="Ada Lovelace <ada@example.com>",
                    to=[identity.mailbox.email_address],
                    subject="Through the tunnel",
                )
                print(f"Inkbox calls it:   {await asyncio.wait_for(heard.get(), 10)}")


if __name__ == "__main__":
    asyncio.run(main())
