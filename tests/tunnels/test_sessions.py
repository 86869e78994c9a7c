"""Sessions with the edge: hello, the pool, drains, takeovers, faults and the status they show."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter

import pytest

from inkbox_async.errors import TunnelSupersededError
from inkbox_async.tunnels import TunnelAuthenticationError, TunnelListener, backoff
from inkbox_async.tunnels import session as session_module
from inkbox_async.tunnels.backoff import Backoff
from inkbox_async.tunnels.connection import UNSENT_LIMIT, EdgeConnection, data_plane_context, dial
from inkbox_async.tunnels.http2 import SettingCode
from inkbox_async.tunnels.limits import Timing

from .apps import Event, Receive, Send, echo, http, read_body, respond
from .authority import Authority
from .conftest import Serve, Stage, eventually
from .control import API_KEY, TUNNEL_ID
from .fake_edge import EdgeStream, FakeEdge, HelloAnswer, keep


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delays between dials are tested for themselves; elsewhere they only cost time."""
    monkeypatch.setattr(Backoff, "next", lambda self: 0.01)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "HELLO_TIMEOUT", 0.2)


async def served(listener: TunnelListener) -> BaseException | None:
    """How serving ends."""
    try:
        await listener.serve_forever()
    except Exception as error:
        return error
    return None


class TestHello:
    async def test_its_headers(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(echo, pool_size=3)
        hello = edge.connections[0].hello
        assert hello is not None
        assert hello.id == 1
        assert hello.header_list == [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", edge.zone),
            (":path", "/_system/hello"),
            ("x-tunnel-id", TUNNEL_ID),
            ("x-api-key", API_KEY),
            ("content-length", "0"),
            ("x-pool-size", "3"),
        ]
        assert hello.ended.is_set()

    async def test_the_pool_is_the_edges_choice(self, serve: Serve, edge: FakeEdge) -> None:
        edge.hello_fields["default_pool_size"] = 5
        await serve(echo, pool_size=3)
        connection = await edge.connected(parked=5)
        assert [stream.header_list for stream in connection.parked] == [
            [
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", edge.zone),
                (":path", "/_system/intake"),
                ("x-tunnel-id", TUNNEL_ID),
                ("x-owner-token", connection.token),
                ("x-pool-slot", str(slot)),
                ("content-length", "0"),
            ]
            for slot in range(5)
        ]

    @pytest.mark.parametrize(
        ("fields", "wished", "parked"),
        [({"default_pool_size": None}, 3, 3), ({"default_pool_size": 0}, None, 1)],
    )
    async def test_without_a_choice_the_wish_counts(
        self, serve: Serve, edge: FakeEdge, fields: dict[str, object], wished: int | None, parked: int
    ) -> None:
        edge.hello_fields.update(fields)
        await serve(echo, pool_size=wished)
        assert len((await edge.connected(parked=parked)).parked) == parked

    async def test_settings(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(echo)
        settings = edge.connections[0].client_settings
        assert settings[SettingCode.ENABLE_PUSH] == 0
        assert settings[SettingCode.INITIAL_WINDOW_SIZE] >= 1 << 20
        assert settings[SettingCode.MAX_HEADER_LIST_SIZE] == 65536

    @pytest.mark.parametrize("status", [401, 403])
    async def test_a_rejected_key_is_fatal(self, stage: Stage, edge: FakeEdge, status: int) -> None:
        edge.hello_answers.append(HelloAnswer(status))
        error = await served(stage.listener(echo))
        assert isinstance(error, TunnelAuthenticationError)
        assert API_KEY not in str(error)
        assert stage.statuses == ["connecting", "closed"]
        assert len(edge.connections) == 1

    async def test_superseded_at_hello_is_fatal(self, stage: Stage, edge: FakeEdge) -> None:
        edge.hello_answers.append(HelloAnswer(409, b'{"reason":"hello-superseded"}'))
        error = await served(stage.listener(echo))
        assert isinstance(error, TunnelSupersededError)
        assert stage.statuses == ["connecting", "superseded"]

    @pytest.mark.parametrize(
        "answer",
        [
            HelloAnswer(503),
            HelloAnswer(409, b'{"reason":"other"}'),
            HelloAnswer(200, b"{}"),
            HelloAnswer(200, b"no json"),
            HelloAnswer(200, b'{"owner_token":7}'),
            HelloAnswer(hang=True),
            HelloAnswer(close=True),
        ],
    )
    async def test_anything_else_is_tried_again(
        self, stage: Stage, edge: FakeEdge, answer: HelloAnswer, impatient: None
    ) -> None:
        edge.hello_answers += [answer, answer]
        async with stage.listener(echo):
            assert (await edge.request("POST", body=b"x")).body == b"x"
        assert stage.statuses == ["connecting", "reconnecting", "connected", "closed"]

    async def test_an_edge_that_is_not_there_yet(self, stage: Stage, edge: FakeEdge) -> None:
        port = edge.port
        await edge.stop()
        entering = asyncio.ensure_future(stage.listener(echo).__aenter__())
        await eventually(lambda: "reconnecting" in stage.statuses)
        await edge.start(port)
        listener = await entering
        assert listener.is_connected
        await listener.aclose()

    async def test_an_untrusted_certificate_says_what_to_do(
        self, stage: Stage, edge: FakeEdge, caplog: pytest.LogCaptureFixture
    ) -> None:
        listener = stage.listener(echo, ca=None)
        task = asyncio.ensure_future(served(listener))
        await eventually(lambda: "INKBOX_CA_BUNDLE" in caplog.text)
        await listener.aclose()
        assert await task is None


class TestIntakes:
    async def test_a_slot_is_parked_again_before_its_request_is_answered(
        self, serve: Serve, edge: FakeEdge
    ) -> None:
        release = asyncio.Event()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await release.wait()
            await respond(send)

        edge.hello_fields["default_pool_size"] = 2
        await serve(app)
        futures = [(await edge.send_envelope())[1] for _ in range(10)]
        release.set()
        assert [reply.status for reply in await asyncio.gather(*futures)] == [200] * 10

    @pytest.mark.parametrize("trouble", ["idle", "other", "empty", "reset"])
    async def test_an_intake_without_work_is_parked_again(
        self, serve: Serve, edge: FakeEdge, trouble: str
    ) -> None:
        spoiled: list[EdgeStream] = []

        def spoil(stream: EdgeStream) -> bool:
            if len(spoiled) >= 20:
                return False
            spoiled.append(stream)
            if trouble == "idle":
                stream.answer(408, [("inkbox-reason", "intake-idle-cap")])
            elif trouble == "other":
                stream.answer(503)
            elif trouble == "empty":
                stream.answer(200)
            else:
                stream.reset(2)
            return True

        edge.on_intake = spoil
        await serve(echo)
        assert (await edge.request("POST", body=b"x")).body == b"x"
        assert len(edge.connections) == 1
        assert len(spoiled) == 20

    async def test_a_stale_token_means_a_new_hello(self, stage: Stage, edge: FakeEdge) -> None:
        async with stage.listener(echo):
            (await edge.intake()).answer(401, [("inkbox-reason", "owner-token-invalid")])
            await edge.connected(count=2)
            assert (await edge.request("POST", body=b"x")).body == b"x"
        assert stage.statuses == ["connecting", "connected", "reconnecting", "connected", "closed"]

    async def test_a_small_limit_of_streams_is_lived_with(self, serve: Serve, edge: FakeEdge) -> None:
        edge.max_streams = 4
        edge.hello_fields["default_pool_size"] = 8
        await serve(echo)
        replies = await asyncio.gather(*(edge.request("POST", body=b"%d" % n) for n in range(30)))
        assert [reply.body for reply in replies] == [b"%d" % n for n in range(30)]
        assert len(edge.connections) == 1


class TestDrain:
    async def test_nothing_shows_and_nothing_is_lost(self, stage: Stage, edge: FakeEdge) -> None:
        release = asyncio.Event()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            if scope["path"] == "/slow":
                await release.wait()
            await respond(send, await read_body(receive))

        async with stage.listener(app) as listener:
            before = listener.last_connected_at
            _, slow = await edge.send_envelope("POST", "/slow", body=b"on A")
            first = edge.drain()
            second = await edge.connected(count=2)
            assert second is not first
            release.set()
            reply = await slow
            assert (reply.body, reply.connection) == (b"on A", second)
            await first.closed.wait()
            assert listener.last_connected_at is not None
            assert before is not None
            assert listener.last_connected_at > before
            assert (await edge.request("POST", body=b"on B")).connection is second
        assert stage.statuses == ["connecting", "connected", "closed"]

    async def test_no_intake_is_parked_on_a_draining_connection(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(echo)
        first = edge.drain()
        await edge.connected(count=2)
        count = first.h2.highest_inbound_stream_id
        while first.parked and not first.closed.is_set():
            first.parked.popleft().answer(408, [("inkbox-reason", "intake-idle-cap")])
        await edge.request("POST", body=b"x")
        assert first.h2.highest_inbound_stream_id == count

    async def test_an_edge_not_ready_to_take_over_is_asked_again(self, stage: Stage, edge: FakeEdge) -> None:
        async with stage.listener(echo):
            edge.hello_answers += [HelloAnswer(503), HelloAnswer(503)]
            edge.drain()
            await edge.connected(count=4)
            assert (await edge.request("POST", body=b"x")).body == b"x"
        assert stage.statuses == ["connecting", "connected", "closed"]

    async def test_a_response_that_begins_during_the_handoff_is_posted_once(
        self, serve: Serve, edge: FakeEdge
    ) -> None:
        handling, drained = asyncio.Event(), asyncio.Event()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            handling.set()
            await drained.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(3):
                await send({"type": "http.response.body", "body": b"x" * 50_000, "more_body": True})
            await send({"type": "http.response.body"})

        await serve(app)
        posts: list[EdgeStream] = []
        edge.on_post_opened = posts.append
        _, reply = await edge.send_envelope()
        await handling.wait()
        # For longer than small responses are gathered.
        edge.hello_answers += [HelloAnswer(503)] * 20
        edge.drain()
        await edge.connected(count=2)
        drained.set()
        assert (await reply).body == b"x" * 150_000
        assert len(posts) == 1

    async def test_a_key_rejected_during_the_handoff_is_fatal(self, stage: Stage, edge: FakeEdge) -> None:
        listener = stage.listener(echo)
        task = asyncio.ensure_future(served(listener))
        await edge.connected()
        edge.hello_answers.append(HelloAnswer(401))
        edge.drain()
        assert isinstance(await task, TunnelAuthenticationError)

    async def test_signals_of_displacement_on_the_old_connection_are_ignored(
        self, serve: Serve, edge: FakeEdge, stage: Stage
    ) -> None:
        release = asyncio.Event()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x" * 70_000, "more_body": True})
            await release.wait()
            await send({"type": "http.response.body", "body": b"end"})

        await serve(app)
        _, future = await edge.send_envelope()
        posts: list[EdgeStream] = []
        edge.on_post_opened = posts.append
        await edge.until(lambda: bool(posts))
        first = edge.drain()
        await edge.connected(count=2)
        while first.parked:
            first.parked.popleft().answer(409, [("inkbox-reason", "intake-superseded")])
        first.send_goaway(0x1201, "superseded")
        release.set()
        assert len((await future).body) == 70_003
        assert stage.statuses == ["connecting", "connected"]

    async def test_a_response_whose_connection_died_is_posted_again(
        self, serve: Serve, edge: FakeEdge
    ) -> None:
        edge.on_response = lambda stream: stream.connection is edge.connections[0]
        await serve(echo)
        _, future = await edge.send_envelope("POST", body=b"precious")
        posts: list[EdgeStream] = []
        edge.on_post_opened = posts.append
        await edge.until(lambda: bool(posts))
        edge.drain()
        await edge.connected(count=2)
        edge.connections[0].abort()
        assert (await future).body == b"precious"

    async def test_a_refused_response_is_posted_on_the_successor(self, serve: Serve, edge: FakeEdge) -> None:
        edge.on_response = lambda stream: stream.connection is edge.connections[0]
        await serve(echo)
        _, future = await edge.send_envelope("POST", body=b"precious")
        posts: list[EdgeStream] = []
        edge.on_post_opened = posts.append
        await edge.until(lambda: bool(posts))
        first = edge.connections[0]
        first.draining = True
        first.send_goaway(0, "drain", last_stream_id=posts[0].id - 2)
        assert (await future).body == b"precious"

    async def test_a_thousand_requests_over_three_drains(self, serve: Serve, edge: FakeEdge) -> None:
        handled: Counter[str] = Counter()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            handled[scope["path"]] += 1
            await asyncio.sleep(0)
            await respond(send, await read_body(receive))

        await serve(app, pool_size=32)
        answered: Counter[bytes] = Counter()
        numbers = iter(range(1000))
        drains = {200, 500, 800}

        async def third_party() -> None:
            for number in numbers:
                if number in drains:
                    edge.drain()
                    await edge.connected(count=len(edge.connections) + 1)
                body = b"request %d" % number
                answered[(await edge.request("POST", f"/{number}", body=body)).body] += 1

        await asyncio.gather(*(third_party() for _ in range(100)))
        assert answered == Counter({b"request %d" % number: 1 for number in range(1000)})
        assert handled == Counter({f"/{number}": 1 for number in range(1000)})
        assert len(edge.connections) == 4

    async def test_an_edge_that_always_drains_is_not_dialled_without_a_pause(
        self, stage: Stage, edge: FakeEdge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses: list[Backoff] = []

        def pause(backoff: Backoff) -> float:
            pauses.append(backoff)
            return 0.0

        def drain(intake: EdgeStream) -> bool:
            if intake.headers["x-pool-slot"] == "0":
                intake.connection.send_goaway(0, "drain")
            return False

        monkeypatch.setattr(Backoff, "next", pause)
        edge.on_intake = drain
        async with stage.listener(echo):
            await edge.connected(count=4)
            edge.on_intake = None
        assert stage.statuses == ["connecting", "connected", "closed"]
        assert len(pauses) >= 3
        assert len(set(pauses)) == 1


class TestTakeover:
    @pytest.mark.parametrize("signal", ["intake", "code", "reason"])
    async def test_it_is_final(self, stage: Stage, edge: FakeEdge, signal: str) -> None:
        task = asyncio.ensure_future(served(stage.listener(echo)))
        connection = await edge.connected()
        if signal == "intake":
            connection.parked.popleft().answer(409, [("inkbox-reason", "intake-superseded")])
        elif signal == "code":
            connection.send_goaway(0x1201, "")
        else:
            connection.send_goaway(2, "superseded")
        assert isinstance(await task, TunnelSupersededError)
        assert stage.statuses == ["connecting", "connected", "superseded"]
        assert len(edge.connections) == 1


class TestFaults:
    @pytest.mark.parametrize("fault", ["abort", "close", "goaway", "noise"])
    async def test_one_outage_is_one_reconnecting(self, stage: Stage, edge: FakeEdge, fault: str) -> None:
        async with stage.listener(echo):
            edge.hello_answers += [HelloAnswer(503), HelloAnswer(503)]
            connection = await edge.connected()
            if fault == "abort":
                connection.abort()
            elif fault == "close":
                connection.close()
            elif fault == "goaway":
                connection.send_goaway(1, "fault")
            else:
                connection.transport.write(b"\x00\x00\x00\x05\x04\x00\x00\x00\x01")
            await edge.connected(count=4)
            assert (await edge.request("POST", body=b"x")).body == b"x"
        assert stage.statuses == ["connecting", "connected", "reconnecting", "connected", "closed"]

    async def test_an_edge_that_stops_answering_pings(self, stage: Stage, edge: FakeEdge) -> None:
        edge.answers_pings = False
        async with stage.listener(echo, timing=Timing(ping_interval=0.05, ping_timeout=0.1)):
            await edge.connected()
            edge.answers_pings = True
            await edge.connected(count=2)
            assert (await edge.request("POST", body=b"x")).body == b"x"
        assert stage.statuses[:3] == ["connecting", "connected", "reconnecting"]

    async def test_an_edge_that_goes_on_talking_is_alive(self, stage: Stage, edge: FakeEdge) -> None:
        # On a slow line the answer to a ping may wait behind bodies for longer than the limit.
        edge.answers_pings = False
        async with stage.listener(echo, timing=Timing(ping_interval=0.02, ping_timeout=0.5)):
            connection = await edge.connected()
            await connection.pinged.wait()
            intake, answer = await edge.send_envelope("POST", end=False)
            for _ in range(100):
                await intake.send(b"x")
                await asyncio.sleep(0.01)
            await intake.send(end=True)
            assert (await answer).body == b"x" * 100
            assert len(edge.connections) == 1

    @pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="this system has no such limit")
    async def test_little_waits_in_the_kernel_ahead_of_a_ping(
        self, edge: FakeEdge, authority: Authority
    ) -> None:
        connection = EdgeConnection(on_goaway=lambda *_: None, on_closed=lambda _: None)
        await dial("localhost", edge.port, data_plane_context(authority.pem), connection)
        try:
            assert connection._transport is not None
            sock = connection._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == UNSENT_LIMIT
        finally:
            connection.abort()
            await connection.wait_closed(1.0)

    async def test_pings_are_sent_and_answered(self, serve: Serve, edge: FakeEdge) -> None:
        await serve(echo, timing=Timing(ping_interval=0.02, ping_timeout=5))
        connection = await edge.connected()
        for _ in range(3):
            connection.pinged.clear()
            await connection.pinged.wait()
        connection.h2.ping(b"12345678")
        connection.flush()
        await connection.ping_acked.wait()

    async def test_a_handler_survives_a_reconnect_and_answers_on_the_new_connection(
        self, serve: Serve, edge: FakeEdge
    ) -> None:
        release = asyncio.Event()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            await release.wait()
            await respond(send, b"kept")

        await serve(app)
        _, future = await edge.send_envelope()
        edge.connections[0].abort()
        second = await edge.connected(count=2)
        release.set()
        reply = await future
        assert (reply.body, reply.connection) == (b"kept", second)

    async def test_a_body_cut_off_by_a_lost_connection_tells_the_app(
        self, serve: Serve, edge: FakeEdge
    ) -> None:
        heard: list[str] = []
        done = asyncio.Event()

        @http
        async def app(scope: Event, receive: Receive, send: Send) -> None:
            while (event := await receive())["type"] == "http.request":
                heard.append("piece")
            heard.append(event["type"])
            done.set()

        await serve(app)
        await edge.send_envelope("POST", body=b"first part", end=False)
        await eventually(lambda: bool(heard))
        edge.connections[0].abort()
        await done.wait()
        assert heard == ["piece", "http.disconnect"]

    async def test_responses_the_edge_never_acknowledges_do_not_pile_up(
        self, serve: Serve, edge: FakeEdge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(session_module, "POST_ANSWER_TIMEOUT", 0.0)
        monkeypatch.setattr(session_module, "_SWEEP_INTERVAL", 0.05)
        posts: list[EdgeStream] = []
        edge.on_response = keep(posts)
        await serve(echo)
        await edge.send_envelope("POST", body=b"x")
        await edge.until(lambda: bool(posts))
        await posts[0].gone()
        assert posts[0].reset_code == 8


class TestBackoff:
    def test_cold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        middle = Backoff(1.0, 30.0, 0.1, uniform=lambda: 0.5)
        assert [middle.next() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
        middle.reset()
        assert middle.next() == 1

    def test_jitter_and_floor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        assert Backoff(1.0, 30.0, 0.1, uniform=lambda: 0.0).next() == 0.75
        assert Backoff(1.0, 30.0, 0.1, uniform=lambda: 1.0).next() == 1.25
        assert Backoff(0.1, 5.0, 0.5, uniform=lambda: 0.0).next() == 0.5

    def test_the_documented_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        for _ in range(50):
            assert 0.75 <= backoff.cold_backoff().next() <= 1.25
            assert 0.075 <= backoff.handoff_backoff().next() <= 0.125
