"""The listener: bootstrap, the three ways to drive it, and what it shows."""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from inkbox_async.errors import (
    InkboxAPIError,
    TunnelNameInvalid,
    TunnelNotProvisioned,
    TunnelRemoved,
    TunnelStateConflict,
    TunnelTLSModeMismatch,
)
from inkbox_async.tunnels import ForwardTargetRefused, TunnelAuthenticationError, renewal
from inkbox_async.tunnels.options import split_zone
from inkbox_async.tunnels.state import StateDirectory, TunnelState

from .apps import echo, ws_echo
from .authority import Authority
from .bridges import open_websocket
from .conftest import Stage, eventually
from .control import API_KEY, TUNNEL_ID
from .fake_edge import FakeEdge, HelloAnswer
from .ingress import Ingress


class TestArguments:
    """Everything is checked before anything is stored or sent."""

    @pytest.mark.parametrize("name", ["x", "-abc", "a--b", "a_b", "my-app\n.x", "a" * 64, ""])
    def test_names(self, stage: Stage, name: str) -> None:
        with pytest.raises(TunnelNameInvalid):
            stage.listener(echo, name=name)

    def test_a_handle_is_a_name(self, stage: Stage) -> None:
        assert "my-app" in repr(stage.listener(echo, name="@My-App"))

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"pool_size": 0}, ValueError),
            ({"pool_size": 33}, ValueError),
            ({"pool_size": True}, ValueError),
            ({"pool_size": "4"}, ValueError),
            ({"forward_to": None}, TypeError),
            ({"forward_to": 8000}, TypeError),
            ({"forward_to": "http://example.com"}, ForwardTargetRefused),
            ({"tls_mode": "sideways"}, ValueError),
            ({"max_inbound_body_bytes": -1}, ValueError),
            ({"max_outbound_body_bytes": 1.5}, ValueError),
            ({"on_status": "print"}, TypeError),
            ({"data_plane_zone": "https://x/"}, ValueError),
            ({"ca": Path("/nowhere/ca.pem")}, OSError),
        ],
    )
    def test_unusable_ones(self, stage: Stage, options: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error):
            stage.listener(options.pop("forward_to", echo), **options)
        assert not stage.state_dir.exists()

    @pytest.mark.parametrize(
        ("zone", "address"),
        [
            ("inkboxwire.com", ("inkboxwire.com", 443)),
            ("localhost:8443", ("localhost", 8443)),
            ("127.0.0.1", ("127.0.0.1", 443)),
            ("[::1]:9", ("::1", 9)),
            ("::1", ("::1", 443)),
        ],
    )
    def test_zones(self, zone: str, address: tuple[str, int]) -> None:
        assert split_zone(zone) == address

    @pytest.mark.parametrize("zone", ["", ":443", "a:b", "a b", "a:70000", "a/b"])
    def test_no_zones(self, zone: str) -> None:
        with pytest.raises(ValueError, match="zone"):
            split_zone(zone)

    async def test_the_ca_may_come_from_the_environment(
        self, stage: Stage, edge: FakeEdge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "ca.pem").write_bytes(stage.authority.pem)
        monkeypatch.setenv("INKBOX_CA_BUNDLE", str(tmp_path / "ca.pem"))
        async with stage.listener(echo, ca=None) as listener:
            assert listener.is_connected

    def test_no_secret_is_shown(self, stage: Stage) -> None:
        assert API_KEY not in repr(stage.listener(echo))


class TestBootstrap:
    async def test_by_name_and_then_by_id(self, stage: Stage, edge: FakeEdge) -> None:
        async with stage.listener(echo) as listener:
            assert listener.tunnel == stage.control.tunnel
            assert listener.public_url == "https://my-app.localhost"
        assert stage.control.calls == ["list"]
        state = StateDirectory(stage.state_dir).load()
        assert state == TunnelState(TUNNEL_ID, "my-app", "edge", edge.zone, "my-app.localhost")
        stage.control.calls.clear()
        async with stage.listener(echo):
            pass
        assert stage.control.calls == ["get"]

    async def test_no_such_tunnel(self, stage: Stage) -> None:
        with pytest.raises(TunnelNotProvisioned, match="create_identity"):
            await stage.listener(echo, name="other-app").serve_forever()

    async def test_a_removed_tunnel(self, stage: Stage) -> None:
        self.remember(stage, "9b9d8c7e-0000-4000-8000-000000000000")
        stage.control.tunnel = stage.control.tunnel.model_copy(update={"tunnel_name": "other-app"})
        with pytest.raises(TunnelRemoved):
            await stage.listener(echo).serve_forever()

    async def test_a_tunnel_made_anew_under_the_same_name(self, stage: Stage, edge: FakeEdge) -> None:
        self.remember(stage, "9b9d8c7e-0000-4000-8000-000000000000")
        async with stage.listener(echo):
            assert StateDirectory(stage.state_dir).load().tunnel_id == TUNNEL_ID

    async def test_a_remembered_tunnel_of_another_name(self, stage: Stage) -> None:
        self.remember(stage, TUNNEL_ID)
        stage.control.tunnel = stage.control.tunnel.model_copy(update={"tunnel_name": "other-app"})
        with pytest.raises(TunnelNotProvisioned):
            await stage.listener(echo).serve_forever()

    async def test_other_errors_are_passed_on(self, stage: Stage) -> None:
        stage.control.failures.append(InkboxAPIError(500, "oops"))
        with pytest.raises(InkboxAPIError, match="500"):
            await stage.listener(echo).serve_forever()

    async def test_a_tunnel_that_is_not_active(self, stage: Stage, edge: FakeEdge) -> None:
        status = type(stage.control.tunnel.status)("deleted")
        stage.control.tunnel = stage.control.tunnel.model_copy(update={"status": status})
        with pytest.raises(TunnelStateConflict) as caught:
            await stage.listener(echo).serve_forever()
        assert caught.value.status_code == 409
        assert edge.connections == []

    async def test_another_mode_than_asked_for(self, stage: Stage, edge: FakeEdge) -> None:
        with pytest.raises(TunnelTLSModeMismatch, match="edge, not passthrough"):
            await stage.listener(echo, tls_mode="passthrough").serve_forever()
        async with stage.listener(echo, tls_mode="edge"):
            pass

    async def test_another_zone(self, stage: Stage, edge: FakeEdge) -> None:
        stage.control.tunnel = stage.control.tunnel.model_copy(update={"zone": "unreachable.invalid"})
        async with stage.listener(echo, data_plane_zone=edge.zone):
            assert StateDirectory(stage.state_dir).load().zone == edge.zone

    async def test_a_passthrough_tunnel_gets_its_certificate(self, stage: Stage, edge: FakeEdge) -> None:
        stage.passthrough()
        async with stage.listener(echo):
            pass
        assert stage.control.calls == ["list", "sign_csr", "get"]
        stage.control.calls.clear()
        async with stage.listener(echo):
            pass
        assert stage.control.calls == ["get"]

    async def test_a_certificate_near_its_end_is_renewed_at_start(self, stage: Stage, edge: FakeEdge) -> None:
        stage.passthrough()
        stage.control.certificate_days = 10
        for _ in range(2):
            async with stage.listener(echo):
                pass
        assert stage.control.calls == ["list", "sign_csr", "get", "get", "sign_csr", "get"]

    async def test_and_while_running(
        self, stage: Stage, edge: FakeEdge, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = renewal.Certificate.keep_renewed
        monkeypatch.setattr(renewal.Certificate, "keep_renewed", lambda certificate: real(certificate, 0.02))
        stage.passthrough()
        stage.control.certificate_days = 10
        async with stage.listener(echo), Ingress(edge, authority) as ingress:
            assert await self.days_left(ingress) < 11
            stage.control.failures.append(InkboxAPIError(503, "not now"))
            stage.control.certificate_days = 90
            while await self.days_left(ingress) < 80:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            assert not stage.control.failures, "a refusal is outlived"

    async def days_left(self, ingress: Ingress) -> float:
        """Life of the certificate that is shown now."""
        _, writer = await ingress.connect("http/1.1")
        end = ssl.cert_time_to_seconds(writer.get_extra_info("ssl_object").getpeercert()["notAfter"])
        return (end - time.time()) / 86_400

    def remember(self, stage: Stage, tunnel_id: str) -> None:
        state = StateDirectory(stage.state_dir)
        state.prepare()
        state.save(TunnelState(tunnel_id, "my-app"))


class TestTheAsyncWays:
    async def test_async_with_connects_and_closes(self, stage: Stage, edge: FakeEdge) -> None:
        listener = stage.listener(echo)
        assert (listener.status, listener.is_connected, listener.last_connected_at) == ("idle", False, None)
        assert listener.public_url == "https://my-app.inkboxwire.com"
        async with listener as entered:
            assert entered is listener
            assert (listener.status, listener.is_connected) == ("connected", True)
            assert listener.last_connected_at is not None
            assert listener.last_connected_at.tzinfo is datetime.UTC
            assert (await edge.request("POST", body=b"x")).body == b"x"
        assert (listener.status, listener.is_connected) == ("closed", False)
        await edge.connections[0].closed.wait()

    async def test_a_fatal_error_on_entry(self, stage: Stage, edge: FakeEdge) -> None:
        edge.hello_answers.append(HelloAnswer(403))
        with pytest.raises(TunnelAuthenticationError):
            async with stage.listener(echo):
                pass

    async def test_a_fatal_error_later_is_raised_on_exit(self, stage: Stage, edge: FakeEdge) -> None:
        listener = await stage.listener(echo).__aenter__()
        edge.hello_answers.append(HelloAnswer(401))
        edge.drain()
        await eventually(lambda: listener.status == "closed")
        with pytest.raises(TunnelAuthenticationError):
            await listener.__aexit__(None, None, None)

    async def test_serve_forever_and_aclose(self, stage: Stage, edge: FakeEdge) -> None:
        listener = stage.listener(echo)
        serving = asyncio.ensure_future(listener.serve_forever())
        await edge.connected()
        await listener.aclose()
        await serving
        await listener.aclose()
        await listener.serve_forever()
        assert stage.statuses == ["connecting", "connected", "closed"]

    async def test_serve_forever_inside_async_with(self, stage: Stage, edge: FakeEdge) -> None:
        async with stage.listener(echo) as listener:
            serving = asyncio.ensure_future(listener.serve_forever())
            await asyncio.sleep(0)
            await listener.aclose()
            await serving
        assert len(edge.connections) == 1

    async def test_cancelling_serve_forever_closes_everything(self, stage: Stage, edge: FakeEdge) -> None:
        listener = stage.listener(echo)
        serving = asyncio.ensure_future(listener.serve_forever())
        connection = await edge.connected()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        await connection.closed.wait()
        assert listener.status == "closed"

    @pytest.mark.parametrize("way", ["entered", "served"])
    async def test_closing_while_the_control_plane_is_slow(self, stage: Stage, way: str) -> None:
        asked = asyncio.Event()

        async def slow() -> Any:  # Any: never returns
            asked.set()
            await asyncio.Event().wait()

        stage.control.list = slow  # type: ignore[method-assign]
        listener = stage.listener(echo)
        start = listener.__aenter__ if way == "entered" else listener.serve_forever
        starting = asyncio.ensure_future(start())
        await asked.wait()
        await listener.aclose()
        await starting
        assert stage.statuses == ["closed"]

    async def test_closing_before_the_start(self, stage: Stage, edge: FakeEdge) -> None:
        listener = stage.listener(echo)
        await listener.aclose()
        await listener.serve_forever()
        assert stage.statuses == ["closed"]
        assert edge.connections == []

    async def test_no_task_is_left_behind(self, stage: Stage, edge: FakeEdge) -> None:
        before = asyncio.all_tasks()
        async with stage.listener(ws_echo):
            await open_websocket(edge)
        await eventually(lambda: asyncio.all_tasks() <= before)

    async def test_a_callback_that_raises_is_harmless(self, stage: Stage, edge: FakeEdge) -> None:
        def callback(status: str) -> None:
            raise ZeroDivisionError(status)

        async with stage.listener(echo, on_status=callback):
            assert (await edge.request("POST", body=b"x")).body == b"x"


class TestTheThreadWay:
    async def test_wait_and_close(self, stage: Stage, edge: FakeEdge) -> None:
        listener = stage.listener(echo)
        with ThreadPoolExecutor(1) as executor:
            waiting = executor.submit(listener.wait)
            assert (await edge.request("POST", body=b"x")).body == b"x"
            assert "inkbox-tunnel-runtime" in {thread.name for thread in threading.enumerate()}
            await asyncio.to_thread(listener.close)
            await asyncio.wrap_future(waiting)
        assert stage.statuses == ["connecting", "connected", "closed"]
        listener.close()

    async def test_a_fatal_error_is_raised_once(self, stage: Stage, edge: FakeEdge) -> None:
        edge.hello_answers.append(HelloAnswer(401))
        listener = stage.listener(echo)
        with pytest.raises(TunnelAuthenticationError):
            await asyncio.to_thread(listener.wait)
        await asyncio.to_thread(listener.wait)

    async def test_closing_before_the_start(self, stage: Stage, edge: FakeEdge) -> None:
        listener = stage.listener(echo)
        listener.close()
        await asyncio.to_thread(listener.wait)
        assert stage.statuses == ["closed"]

    async def test_closing_from_the_callback(self, stage: Stage, edge: FakeEdge) -> None:
        def callback(status: str) -> None:
            if status == "connected":
                listener.close()

        listener = stage.listener(echo, on_status=callback)
        await asyncio.to_thread(listener.wait)
        assert listener.status == "closed"

    async def test_not_in_an_event_loop(self, stage: Stage) -> None:
        with pytest.raises(RuntimeError, match="serve_forever"):
            stage.listener(echo).wait()

    @pytest.fixture
    def heeded_interrupts(self) -> Iterator[None]:
        """A run in the background of a shell is started with SIGINT ignored."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @pytest.mark.usefixtures("heeded_interrupts")
    @pytest.mark.parametrize(
        ("number", "error"), [(signal.SIGTERM, None), (signal.SIGINT, KeyboardInterrupt)]
    )
    def test_signals_on_the_main_thread(
        self, authority: Authority, tmp_path: Path, number: int, error: type[BaseException] | None
    ) -> None:
        before = signal.getsignal(signal.SIGTERM)
        statuses: list[str] = []
        with _EdgeThread(authority, tmp_path) as stage:

            def callback(status: str) -> None:
                statuses.append(status)
                if status == "connected":
                    os.kill(os.getpid(), number)

            listener = stage.listener(echo, on_status=callback)
            if error is None:
                listener.wait()
            else:
                with pytest.raises(error):
                    listener.wait()
        assert statuses == ["connecting", "connected", "closed"]
        assert signal.getsignal(signal.SIGTERM) == before


class TestTheWaysExcludeEachOther:
    async def test_async_after_thread(self, stage: Stage, edge: FakeEdge) -> None:
        listener = stage.listener(echo)
        with ThreadPoolExecutor(1) as executor:
            waiting = executor.submit(listener.wait)
            await edge.connected()
            with pytest.raises(RuntimeError, match="exclude"):
                await listener.serve_forever()
            with pytest.raises(RuntimeError, match="exclude"):
                await listener.__aenter__()
            with pytest.raises(RuntimeError, match="close"):
                await listener.aclose()
            await asyncio.to_thread(listener.close)
            await asyncio.wrap_future(waiting)

    async def test_thread_after_async(self, stage: Stage, edge: FakeEdge) -> None:
        async with stage.listener(echo) as listener:
            with pytest.raises(RuntimeError, match="exclude"):
                await asyncio.to_thread(listener.wait)
            with pytest.raises(RuntimeError, match="aclose"):
                listener.close()


class _EdgeThread:
    """An edge on an event loop of its own, for tests of the main thread."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        self._authority = authority
        self._folder = folder
        self._ready = threading.Event()

    def __enter__(self) -> Stage:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        self._ready.wait()
        return self._stage

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        edge = FakeEdge(self._authority.server_context(self._folder, "localhost"))
        await edge.start()
        self._stage = Stage(edge, self._authority, self._folder)
        self._ready.set()
        await self._done.wait()
        await edge.stop()
