"""Tunnels of a whole sandbox: the API's operations, the control API, and the edge that follows the store."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from inkbox_async import InkboxAPIError, TunnelCSRStateConflict, TunnelTLSModeMismatch
from inkbox_async.sandbox import Sandbox

from .conftest import status
from .listener import RawListener, request_id
from .raw_h2 import RawStream, connect
from .test_ca import csr

if TYPE_CHECKING:
    from inkbox_async import AsyncInkbox
    from inkbox_async.identity import AgentIdentity

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def inkbox(sandbox: Sandbox) -> AsyncIterator[AsyncInkbox]:
    async with sandbox.client() as inkbox:
        yield inkbox


@pytest.fixture
async def agent(inkbox: AsyncInkbox) -> AgentIdentity:
    return await inkbox.create_identity("sales-agent")


@pytest.fixture
async def vault_agent(inkbox: AsyncInkbox) -> AgentIdentity:
    return await inkbox.create_identity("vault-agent", tunnel={"tls_mode": "passthrough"})


@asynccontextmanager
async def listening(
    sandbox: Sandbox, identity: AgentIdentity, key: str | None = None
) -> AsyncIterator[RawListener]:
    """A listener on the sandbox's edge that has said hello."""
    context = ssl.create_default_context(cafile=sandbox.ca_cert_path)
    context.set_alpn_protocols(["h2"])
    assert sandbox.edge_port is not None
    assert identity.tunnel is not None
    async with connect(sandbox.edge_port, context) as client:
        listener = RawListener(client, str(identity.tunnel.id), key or sandbox.api_key)
        await listener.hello()
        yield listener


async def echo(listener: RawListener, envelope: RawStream) -> None:
    await envelope.whole()
    await listener.post(request_id(envelope), 200, bytes(envelope.body))


def root_of(sandbox: Sandbox) -> bytes:
    assert sandbox.ca_cert_path is not None
    return Path(sandbox.ca_cert_path).read_bytes()


async def control(sandbox: Sandbox, path: str) -> int:
    async with aiohttp.ClientSession() as outside:
        return await status(outside.post(f"{sandbox.control_url}{path}"))


async def test_a_tunnel_is_born_with_its_identity(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity
) -> None:
    (tunnel,) = await inkbox.tunnels.list()
    assert tunnel.public_host == f"sales-agent.localhost:{sandbox.edge_port}"
    assert tunnel.zone == f"localhost:{sandbox.edge_port}"
    assert (tunnel.tls_mode, tunnel.status, tunnel.metadata) == ("edge", "active", {})
    assert tunnel.currently_connected is False
    assert await inkbox.tunnels.get(tunnel.id) == tunnel


async def test_tunnels_of_others_are_not_found(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity
) -> None:
    assert agent.tunnel is not None
    other = await inkbox.create_identity("other-agent")
    key = await inkbox.api_keys.create(label="other", scoped_identity_id=other.id)
    async with (
        aiohttp.ClientSession() as outside,
        outside.post(f"{sandbox.control_url}/organizations") as answer,
    ):
        foreign_key = (await answer.json())["api_key"]
    async with sandbox.client(key.api_key) as other_agent, sandbox.client(foreign_key) as foreigner:
        assert [tunnel.tunnel_name for tunnel in await other_agent.tunnels.list()] == ["other-agent"]
        assert await foreigner.tunnels.list() == []
        for client, tunnel_id in (
            (other_agent, agent.tunnel.id),
            (foreigner, agent.tunnel.id),
            (inkbox, UNKNOWN),
        ):
            with pytest.raises(InkboxAPIError) as missing:
                await client.tunnels.get(tunnel_id)
            assert missing.value.status_code == 404
    assert [tunnel.tunnel_name for tunnel in await inkbox.tunnels.list()] == ["other-agent", "sales-agent"]


async def test_metadata_is_replaced_and_cleared(inkbox: AsyncInkbox, agent: AgentIdentity) -> None:
    assert agent.tunnel is not None
    tunnel_id = agent.tunnel.id
    first = await inkbox.tunnels.update(tunnel_id, metadata={"team": "gtm", "tier": 2})
    assert first.metadata == {"team": "gtm", "tier": 2}
    assert (await inkbox.tunnels.update(tunnel_id, metadata={"a": [1]})).metadata == {"a": [1]}
    unchanged = await inkbox.tunnels.update(tunnel_id)
    assert unchanged.metadata == {"a": [1]}
    assert (await inkbox.tunnels.update(tunnel_id, metadata=None)).metadata == {}
    assert (await inkbox.tunnels.update(tunnel_id, metadata={"x": "é" * 2000})).metadata
    with pytest.raises(InkboxAPIError) as too_large:
        await inkbox.tunnels.update(tunnel_id, metadata={"x": "é" * 2100})
    assert too_large.value.status_code == 422


async def test_the_first_certificate_makes_a_passthrough_tunnel_active(
    inkbox: AsyncInkbox, vault_agent: AgentIdentity
) -> None:
    assert vault_agent.tunnel is not None
    assert vault_agent.tunnel.status == "awaiting_cert"
    request = csr(ec.generate_private_key(ec.SECP256R1()), vault_agent.tunnel.public_host)
    signed = await inkbox.tunnels.sign_csr(vault_agent.tunnel.id, csr_pem=request)
    tunnel = await inkbox.tunnels.get(vault_agent.tunnel.id)
    assert tunnel.status == "active"
    assert tunnel.cert_pem == signed.cert_pem
    assert tunnel.cert_fingerprint_sha256 == signed.cert_fingerprint_sha256
    assert tunnel.cert_expires_at == signed.cert_expires_at


async def test_four_certificates_in_seven_days(
    sandbox: Sandbox, inkbox: AsyncInkbox, vault_agent: AgentIdentity
) -> None:
    assert vault_agent.tunnel is not None
    tunnel_id, host = vault_agent.tunnel.id, vault_agent.tunnel.public_host
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(InkboxAPIError) as refused:
        await inkbox.tunnels.sign_csr(tunnel_id, csr_pem=csr(key, "other.localhost"))
    assert refused.value.status_code == 400
    first = await inkbox.tunnels.sign_csr(tunnel_id, csr_pem=csr(key, host))
    sandbox.clock.advance(timedelta(days=6).total_seconds())
    for _ in range(3):
        await inkbox.tunnels.sign_csr(tunnel_id, csr_pem=csr(key, host))
    with pytest.raises(InkboxAPIError) as limited:
        await inkbox.tunnels.sign_csr(tunnel_id, csr_pem=csr(key, host))
    assert limited.value.status_code == 429
    assert limited.value.retry_after_seconds is not None
    sandbox.clock.advance(limited.value.retry_after_seconds)
    again = await inkbox.tunnels.sign_csr(tunnel_id, csr_pem=csr(key, host))
    assert again.cert_expires_at - first.cert_expires_at > timedelta(days=6, hours=23)


async def test_edge_tunnels_get_no_certificate(inkbox: AsyncInkbox, agent: AgentIdentity) -> None:
    assert agent.tunnel is not None
    request = csr(ec.generate_private_key(ec.SECP256R1()), agent.tunnel.public_host)
    with pytest.raises(TunnelTLSModeMismatch) as refused:
        await inkbox.tunnels.sign_csr(agent.tunnel.id, csr_pem=request)
    assert not isinstance(refused.value, TunnelCSRStateConflict)


async def test_traffic_by_tls_and_by_plain_http(sandbox: Sandbox, agent: AgentIdentity) -> None:
    assert agent.tunnel is not None
    api_port = sandbox.base_url.rpartition(":")[2]
    async with (
        listening(sandbox, agent) as listener,
        listener.serving(echo),
        sandbox.session(auto_decompress=False) as third_party,
    ):
        for url in (f"https://{agent.tunnel.public_host}/x", f"http://sales-agent.localhost:{api_port}/x"):
            for headers in ({}, {"Content-Encoding": "gzip"}):
                async with third_party.post(url, data=b"body", headers=headers) as answer:
                    assert answer.status == 200
                    assert await answer.read() == b"body"
        assert await status(third_party.get(f"http://nobody.localhost:{api_port}/")) == 404
        assert await status(third_party.get(f"http://localhost:{api_port}/_sandbox/health")) == 200


@pytest.mark.parametrize("whose", ["admin", "own", "other"])
async def test_who_may_listen(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity, whose: str
) -> None:
    identity = agent if whose == "own" else await inkbox.create_identity("other-agent")
    key = sandbox.api_key
    if whose != "admin":
        key = (await inkbox.api_keys.create(label=whose, scoped_identity_id=identity.id)).api_key
    if whose == "other":
        with pytest.raises(AssertionError, match="403"):
            await listening(sandbox, agent, key).__aenter__()
    else:
        async with listening(sandbox, agent, key):
            pass


async def test_connection_fields_follow_the_listener(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity
) -> None:
    async with listening(sandbox, agent):
        (tunnel,) = await inkbox.tunnels.list()
        assert tunnel.currently_connected
        assert tunnel.last_connected_at is not None
        assert tunnel.last_connected_ip_addr == "127.0.0.1"
    async with asyncio.timeout(10):
        while (tunnel := (await inkbox.tunnels.list())[0]).currently_connected:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert tunnel.last_connected_at is not None
    assert tunnel.last_disconnected_at is not None
    assert tunnel.last_disconnected_at > tunnel.last_connected_at


async def test_drain_and_supersede_by_the_control_api(sandbox: Sandbox, agent: AgentIdentity) -> None:
    assert await control(sandbox, "/tunnels/nobody/drain") == 404
    assert await control(sandbox, "/tunnels/sales-agent/drain") == 409
    assert await control(sandbox, "/tunnels/sales-agent/supersede") == 409
    async with listening(sandbox, agent) as first:
        assert await control(sandbox, "/tunnels/sales-agent/drain") == 204
        await first.client.until(lambda: first.client.goaway is not None)
        assert first.client.goaway == (0, b'{"reason":"drain"}')
    async with listening(sandbox, agent) as second:
        assert await control(sandbox, "/tunnels/Sales-Agent/supersede") == 204
        await second.client.until(lambda: second.client.goaway is not None)
        assert second.client.goaway == (0x1201, b'{"reason":"superseded"}')


async def test_the_listener_of_a_deleted_identity_is_disconnected(
    sandbox: Sandbox, agent: AgentIdentity
) -> None:
    async with listening(sandbox, agent) as listener:
        await agent.delete()
        await listener.client.until(lambda: listener.client.closed)
        assert listener.client.closed


async def test_a_reset_disconnects_everybody(sandbox: Sandbox, agent: AgentIdentity) -> None:
    async with listening(sandbox, agent) as listener:
        await sandbox.reset()
        await listener.client.until(lambda: listener.client.closed)
        assert listener.client.closed


async def test_a_renamed_identity_is_found_under_its_new_name(
    sandbox: Sandbox, inkbox: AsyncInkbox, agent: AgentIdentity
) -> None:
    async with (
        listening(sandbox, agent) as listener,
        listener.serving(echo),
        sandbox.session() as third_party,
    ):
        old, new = (f"https://{name}.localhost:{sandbox.edge_port}/" for name in ("sales-agent", "sales-two"))
        assert await status(third_party.get(old)) == 200
        await agent.update(new_handle="sales-two")
        async with asyncio.timeout(10):
            while await status(third_party.get(old)) != 404:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert await status(third_party.get(new)) == 200


async def test_a_restarted_sandbox_is_still_trusted_and_knows_of_no_connection(tmp_path: Path) -> None:
    data = tmp_path / "data.sqlite"
    async with Sandbox(data=data) as sandbox, sandbox.client() as inkbox:
        identity = await inkbox.create_identity("sales-agent")
        root = root_of(sandbox)
        async with listening(sandbox, identity):
            await sandbox.store.run(lambda tx: tx.execute("UPDATE tunnels SET last_disconnected_at = NULL"))
            await sandbox.stop()
    async with Sandbox(data=data) as sandbox, sandbox.client() as inkbox:
        assert root_of(sandbox) == root
        (tunnel,) = await inkbox.tunnels.list()
        assert tunnel.currently_connected is False
        assert tunnel.last_disconnected_at is not None


async def test_nothing_is_left_of_an_authority_in_memory() -> None:
    async with Sandbox() as sandbox:
        assert b"BEGIN CERTIFICATE" in root_of(sandbox)
    with pytest.raises(FileNotFoundError):
        root_of(sandbox)
