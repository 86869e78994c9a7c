"""A state directory written by one client is read by the other: the official ones, and ours."""

from __future__ import annotations

import asyncio
import json
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from inkbox_async.sandbox import Sandbox

from .raw_h2 import PATIENCE
from .test_official_client import make, official, peer, sandbox
from .test_put_aside import count

__all__ = ["peer", "sandbox"]  # the fixtures

NAME = "sales-agent"
HOST = f"{NAME}.inkboxwire.com"


class Clients:
    """The two clients of a test, in either order, on one state directory."""

    def __init__(self, sandbox: Sandbox, peer: str, folder: Path) -> None:
        self.sandbox = sandbox
        self.peer = peer
        self.folder = folder

    @asynccontextmanager
    async def serve(self, client: str) -> AsyncIterator[None]:
        """A connected listener of this client."""
        if client == "official":
            async with official(self.sandbox, self.peer, NAME, self.folder):
                yield
            return
        async with (
            self.sandbox.client() as inkbox,
            inkbox.tunnels.connect(
                name=NAME,
                forward_to=count,
                state_dir=self.folder,
                ca=self.sandbox.ca_cert_path,
                data_plane_zone=f"localhost:{self.sandbox.edge_port}",
            ),
        ):
            yield

    async def works(self) -> None:
        """A third party reaches the application."""
        async with (
            self.sandbox.session() as third_party,
            third_party.post(f"https://{HOST}/", data=b"body") as answer,
        ):
            assert answer.status in (200, 201)

    async def certificate(self) -> bytes | None:
        """What a third party is shown."""
        context = ssl.create_default_context(cafile=self.sandbox.ca_cert_path)
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(
                "127.0.0.1", self.sandbox.edge_port, ssl=context, server_hostname=HOST
            )
        shown: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return shown

    def asked(self) -> list[str]:
        """What was asked of the control plane of tunnels since the last time, oldest first."""
        calls = [
            f"{entry.method} {entry.path}"
            for entry in reversed(self.sandbox.requests())
            if "/tunnels" in entry.path
        ]
        self.sandbox.journal.clear()
        return calls

    def files(self) -> dict[str, bytes]:
        """All files; nobody but the owner may read them."""
        assert stat.S_IMODE(self.folder.stat().st_mode) == 0o700
        for path in self.folder.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


@pytest.fixture(params=["official then ours", "ours then official"])
def order(request: pytest.FixtureRequest) -> tuple[str, str]:
    first, _, second = request.param.partition(" then ")
    return first, second


@pytest.fixture
def clients(sandbox: Sandbox, peer: str, tmp_path: Path) -> Clients:
    return Clients(sandbox, peer, tmp_path / "state")


def state(files: dict[str, bytes], mode: str) -> tuple[UUID, str]:
    """The tunnel's id and zone in `state.json`, whose form and other fields are as they must be."""
    text = files["state.json"].decode()
    document = json.loads(text)
    assert text.rstrip("\n") == json.dumps(document, indent=2, sort_keys=True)
    tunnel_id, zone = document.pop("tunnel_id"), document.pop("zone")
    assert document == {"name": NAME, "mode": mode, "public_host": HOST}
    return UUID(tunnel_id), zone


async def test_edge_mode(clients: Clients, order: tuple[str, str]) -> None:
    await make(clients.sandbox, NAME)
    first, second = order
    async with clients.serve(first):
        await clients.works()
        tunnel_id, _ = state(clients.files(), "edge")
        assert set(clients.files()) == {"state.json"}
    assert clients.asked() == ["GET /api/v1/tunnels/"]
    async with clients.serve(second):
        await clients.works()
        assert state(clients.files(), "edge")[0] == tunnel_id
        assert set(clients.files()) == {"state.json"}
    assert clients.asked() == [f"GET /api/v1/tunnels/{tunnel_id}"]


async def test_passthrough_mode(clients: Clients, order: tuple[str, str]) -> None:
    await make(clients.sandbox, NAME, "passthrough")
    first, second = order
    async with clients.serve(first):
        await clients.works()
        shown = await clients.certificate()
        before = clients.files()
        tunnel_id, _ = state(before, "passthrough")
        assert set(before) == {"state.json", "private_key.pem", "cert_chain.pem"}
    path = f"/api/v1/tunnels/{tunnel_id}"
    assert clients.asked() == ["GET /api/v1/tunnels/", f"POST {path}/sign-csr", f"GET {path}"]
    key = load_pem_private_key(before["private_key.pem"], None)
    leaf, *intermediates = load_pem_x509_certificates(before["cert_chain.pem"])
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert before["private_key.pem"].startswith(b"-----BEGIN PRIVATE KEY-----")
    assert leaf.public_key() == key.public_key()
    assert intermediates

    async with clients.serve(second):
        await clients.works()
        assert await clients.certificate() == shown
        after = clients.files()
        assert state(after, "passthrough")[0] == tunnel_id
        assert {**after, "state.json": b""} == {**before, "state.json": b""}
    assert clients.asked() == [f"GET {path}"]


async def test_a_new_key_of_one_is_signed_and_then_used_by_the_other(
    clients: Clients, order: tuple[str, str]
) -> None:
    await make(clients.sandbox, NAME, "passthrough")
    first, second = order
    async with clients.serve(first):
        before = clients.files()
    (clients.folder / "private_key.pem").unlink()
    async with clients.serve(second):
        renewed = clients.files()
        await clients.works()
        shown = await clients.certificate()
    assert renewed["private_key.pem"] != before["private_key.pem"]
    assert renewed["cert_chain.pem"] != before["cert_chain.pem"]
    async with clients.serve(first):
        await clients.works()
        assert await clients.certificate() == shown
        assert {**clients.files(), "state.json": b""} == {**renewed, "state.json": b""}
