"""`client.tunnels`: the control plane, `connect`, and the exchange of state with the official client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import inkbox
import pytest

from inkbox_async import AsyncInkbox
from inkbox_async.errors import InkboxAPIError, TunnelCSRStateConflict, TunnelTLSModeMismatch
from inkbox_async.tunnels import ForwardTargetRefused
from inkbox_async.tunnels.certificates import certificate_request, load_or_create_key
from inkbox_async.tunnels.state import StateDirectory

from .apps import echo
from .authority import Authority
from .conftest import Stage
from .control import API_KEY, TUNNEL_ID, FakeControl
from .control_server import ControlServer
from .fake_edge import FakeEdge


@pytest.fixture
async def control(stage: Stage) -> AsyncIterator[ControlServer]:
    async with ControlServer(stage.control).running() as server:
        yield server


@pytest.fixture
async def client(control: ControlServer) -> AsyncIterator[AsyncInkbox]:
    async with AsyncInkbox(API_KEY, base_url=control.url) as client:
        yield client


class TestControlPlane:
    async def test_list_and_get(self, client: AsyncInkbox, control: ControlServer) -> None:
        (tunnel,) = await client.tunnels.list()
        assert tunnel == control.control.tunnel
        assert await client.tunnels.get(tunnel.id) == await client.tunnels.get(TUNNEL_ID) == tunnel
        control.bare_list = True
        assert await client.tunnels.list() == [tunnel]

    async def test_update(self, client: AsyncInkbox, control: ControlServer) -> None:
        await client.tunnels.update(TUNNEL_ID, metadata={"team": "gtm"})
        await client.tunnels.update(TUNNEL_ID, metadata=None)
        await client.tunnels.update(TUNNEL_ID)
        assert control.bodies == [{"metadata": {"team": "gtm"}}, {"metadata": None}, {}]
        with pytest.raises(ValueError, match="metadata"):
            await client.tunnels.update(TUNNEL_ID, metadata="team")  # type: ignore[arg-type]

    @pytest.mark.parametrize("as_bytes", [True, False])
    async def test_sign_csr(
        self, client: AsyncInkbox, stage: Stage, control: ControlServer, as_bytes: bool
    ) -> None:
        state = StateDirectory(stage.state_dir)
        state.prepare()
        request = certificate_request(load_or_create_key(state), "my-app.localhost")
        signed = await client.tunnels.sign_csr(TUNNEL_ID, csr_pem=request.encode() if as_bytes else request)
        assert signed.cert_pem.startswith("-----BEGIN CERTIFICATE-----")
        assert control.bodies == [{"csr_pem": request}]
        with pytest.raises(ValueError, match="csr_pem"):
            await client.tunnels.sign_csr(TUNNEL_ID, csr_pem=b"\xff")

    @pytest.mark.parametrize(
        ("detail", "error"),
        [
            ("tls_mode is edge; CSR signing needs passthrough", TunnelTLSModeMismatch),
            ({"error": "wrong_mode", "detail": "Tunnel is an EDGE tunnel"}, TunnelTLSModeMismatch),
            ("tunnel status is deleted", TunnelCSRStateConflict),
        ],
    )
    async def test_what_a_conflict_means(
        self, client: AsyncInkbox, control: ControlServer, detail: object, error: type[InkboxAPIError]
    ) -> None:
        control.refusal = (409, detail)
        with pytest.raises(error) as caught:
            await client.tunnels.sign_csr(TUNNEL_ID, csr_pem="x")
        assert type(caught.value) is error
        assert caught.value.detail == detail
        assert caught.value.path == f"/api/v1/tunnels/{TUNNEL_ID}/sign-csr"


class TestConnect:
    async def test_it_is_no_coroutine_and_sends_nothing(
        self, client: AsyncInkbox, control: ControlServer, stage: Stage
    ) -> None:
        listener = client.tunnels.connect(name="my-app", forward_to=echo, state_dir=stage.state_dir)
        assert listener.status == "idle"
        assert control.requests == []
        with pytest.raises(ForwardTargetRefused):
            client.tunnels.connect(name="my-app", forward_to="http://example.com")

    async def test_it_serves(
        self, client: AsyncInkbox, control: ControlServer, stage: Stage, edge: FakeEdge
    ) -> None:
        connect = client.tunnels.connect
        async with connect(name="my-app", forward_to=echo, state_dir=stage.state_dir, ca=stage.authority.pem):
            assert (await edge.request("POST", body=b"x")).body == b"x"
        assert control.requests == ["GET /api/v1/tunnels/"]

    async def test_it_serves_from_a_thread(self, client: AsyncInkbox, stage: Stage, edge: FakeEdge) -> None:
        listener = client.tunnels.connect(
            name="my-app", forward_to=echo, state_dir=stage.state_dir, ca=stage.authority.pem
        )
        with ThreadPoolExecutor(1) as executor:
            waiting = executor.submit(listener.wait)
            assert (await edge.request("POST", body=b"x")).body == b"x"
            await asyncio.to_thread(listener.close)
            await asyncio.wrap_future(waiting)


class TestTheOfficialClient:
    """Either client takes up the state directory that the other one left."""

    @pytest.fixture(params=["edge", "passthrough"])
    def tls_mode(self, request: pytest.FixtureRequest, stage: Stage, authority: Authority) -> str:
        mode = str(request.param)
        stage.control = FakeControl(authority, stage.edge.zone, tls_mode=mode)
        return mode

    async def ours(self, control: ControlServer, stage: Stage) -> None:
        async with (
            AsyncInkbox(API_KEY, base_url=control.url) as client,
            client.tunnels.connect(
                name="my-app", forward_to=echo, state_dir=stage.state_dir, ca=stage.authority.pem
            ),
        ):
            pass

    async def theirs(self, control: ControlServer, stage: Stage) -> None:
        def connect() -> None:
            client: Any = inkbox.Inkbox(api_key=API_KEY, base_url=control.url)
            with client:
                listener = client.tunnels.connect(
                    name="my-app", forward_to="http://127.0.0.1:9", state_dir=str(stage.state_dir)
                )
                assert listener.public_url == "https://my-app.localhost"
                listener.close()

        await asyncio.to_thread(connect)

    @pytest.mark.parametrize("first", ["ours", "theirs"])
    async def test_takes_it_up(self, tls_mode: str, control: ControlServer, stage: Stage, first: str) -> None:
        await getattr(self, first)(control, stage)
        left = {path.name: path.read_bytes() for path in stage.state_dir.iterdir()}
        control.requests.clear()
        await (self.theirs if first == "ours" else self.ours)(control, stage)
        assert control.requests == [f"GET /api/v1/tunnels/{TUNNEL_ID}"]
        names = {"state.json"} | (
            {"private_key.pem", "cert_chain.pem"} if tls_mode == "passthrough" else set()
        )
        assert {path.name for path in stage.state_dir.iterdir()} == names
        for name in names - {"state.json"}:
            assert (stage.state_dir / name).read_bytes() == left[name]
