"""What both ends of a tunnel read: hellos, envelopes, bridge frames, ClientHellos, state directories."""

from __future__ import annotations

import json
import ssl
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inkbox_async.sandbox.edge import bridge_frames as edge_frames
from inkbox_async.sandbox.edge.envelope import envelope_head, reply_head, request_fields
from inkbox_async.sandbox.edge.http2_headers import Header, MalformedMessage, decimal, read_head
from inkbox_async.sandbox.edge.limits import EdgeLimits
from inkbox_async.sandbox.edge.names import EdgeNames, hostname
from inkbox_async.sandbox.edge.sni import Incomplete, NotTls, server_name
from inkbox_async.sandbox.edge.websocket import sendable_code
from inkbox_async.tunnels import bridge_frames, session
from inkbox_async.tunnels.certificates import certificate_expiry, load_or_create_key, store_chain
from inkbox_async.tunnels.forward_check import check_forward_url
from inkbox_async.tunnels.options import split_zone
from inkbox_async.tunnels.protocol import (
    content_length,
    forwarded_request_headers,
    is_valid_path,
    parse_envelope,
    parse_hello,
    response_headers,
)
from inkbox_async.tunnels.state import StateDirectory, TunnelState

from .damage import JSON, damaged, damaged_text

NAMES = st.sampled_from(
    [b":status", b":method", b":path", b":scheme", b":authority", b":protocol", b"inkbox-request-id",
     b"inkbox-method", b"inkbox-path", b"inkbox-route-kind", b"inkbox-ws-id", b"inkbox-body-uri",
     b"inkbox-status", b"inkbox-reason", b"inkbox-h-", b"inkbox-h-content-length", b"inkbox-h-x",
     b"content-length", b"connection", b"te", b"x-forwarded-for", b"Host", b"sec-websocket-protocol",
     b"inkbox-h-sec-websocket-protocol"]
)  # fmt: skip
VALUES = st.sampled_from(
    [b"200", b"101", b"\xb2", b"9" * 30, b"-1", b"CONNECT", b"/", b"", b"a\r\nb", b"ws-upgrade"]
)
FIELDS: st.SearchStrategy[list[Header]] = st.lists(
    st.tuples(NAMES | st.binary(max_size=8), VALUES | st.binary(max_size=8)), max_size=8
)


@given(fields=FIELDS)
def test_every_header_list_is_an_envelope_or_none(fields: list[Header]) -> None:
    envelope = parse_envelope(fields)
    if envelope is not None:
        assert envelope.request_id
        forwarded_request_headers(
            envelope.headers, host=b"a", public_host=b"b", client_ip=envelope.forwarded_for
        )
    length = content_length(fields)
    assert length is None or 0 <= length < 10**18
    for name, value in response_headers(fields):
        assert name == name.lower()
        assert not {*b"\r\n\0"} & {*value}


@given(fields=FIELDS)
def test_every_header_list_is_a_request_or_malformed(fields: list[Header]) -> None:
    with suppress(MalformedMessage):
        head = read_head(list(fields))
        assert head.pseudo[b":method"]
        assert head.content_length is None or head.content_length >= 0


@given(fields=FIELDS)
def test_every_header_list_is_a_reply_or_none(fields: list[Header]) -> None:
    head = reply_head(fields)
    if head is not None:
        assert head.status == 101 or 200 <= head.status <= 599
    for name, value in request_fields(fields):
        assert name.startswith(b"inkbox-h-")
        value.decode()
    for _, value in fields:
        assert (number := decimal(value)) is None or number >= 0


@given(fields=FIELDS, method=st.sampled_from([b"GET", b"POST"]), path=st.binary(max_size=8))
def test_what_the_edge_asks_is_what_the_listener_reads(
    fields: list[Header], method: bytes, path: bytes
) -> None:
    told = request_fields(fields)
    envelope = parse_envelope(envelope_head("id", method=method, path=b"/" + path, fields=told))
    assert envelope is not None
    assert (envelope.method, envelope.path) == (method, b"/" + path)
    assert [(b"inkbox-h-" + name, value) for name, value in envelope.headers] == told


@given(target=st.binary(max_size=30) | damaged([b"/a/b?c", b"/a/%2e%2e/b", b"/%25%32%65", b"/..", b"/a%2fb"]))
def test_a_path_that_is_passed_on_leads_nowhere_else(target: bytes) -> None:
    from urllib.parse import unquote_to_bytes

    if is_valid_path(target):
        once = unquote_to_bytes(target.partition(b"?")[0])
        twice = unquote_to_bytes(once)
        for path in (once, twice):
            assert not {b".", b".."} & {*path.split(b"/")[1:]}
            assert b"\\" not in path


HELLO = json.dumps(
    {"owner_token": "t", "default_pool_size": 8, "response_deadline_seconds": 30, "intake_idle_seconds": 600}
).encode()


@given(
    document=JSON
    | st.fixed_dictionaries(
        {"owner_token": st.just("t")},
        optional={"default_pool_size": JSON, "response_deadline_seconds": JSON, "intake_idle_seconds": JSON},
    )
)
@example(document={"owner_token": "t", "response_deadline_seconds": 10**400})
@example(document={"owner_token": "t", "default_pool_size": 10**400})
def test_every_document_is_a_hello_or_none(document: object) -> None:
    hello = parse_hello(document, 4)
    if hello is not None:
        assert 1 <= hello.pool_size <= 32
        assert hello.response_deadline is None or 0 < hello.response_deadline < float("inf")


@given(body=st.binary(max_size=60) | damaged([HELLO, b'{"reason": "superseded"}']))
@example(body=b"[" * 60_000)
@example(body=b"9" * 5000)
def test_every_body_of_the_edge_is_a_document_or_none(body: bytes) -> None:
    session.document_of(body)


ENVELOPES = [
    edge_frames.encode_envelope(message)
    for message in ("text", b"bytes", edge_frames.CloseMessage(1000, "bye"))
]
FRAMES = [edge_frames.encode_frame(edge_frames.BINARY, envelope) for envelope in ENVELOPES] + [
    edge_frames.encode_close(1000, "bye"),
    edge_frames.encode_frame(edge_frames.PING, b"x"),
]


def cut(data: bytes, step: int) -> list[bytes]:
    return [data[at : at + step] for at in range(0, len(data), step)]


@given(data=st.binary(max_size=80) | damaged(FRAMES), step=st.integers(1, 90))
def test_the_edge_reads_every_frame_or_refuses_it(data: bytes, step: int) -> None:
    reader, envelopes = edge_frames.FrameReader(1 << 16), edge_frames.EnvelopeReader(1 << 16)
    with suppress(edge_frames.BridgeProtocolError):
        for piece in cut(data, step):
            for frame in reader.feed(piece):
                assert len(frame.payload) <= len(data)
                edge_frames.close_code(frame.payload)
                check_messages(list(envelopes.feed(frame.payload)))


@given(data=st.binary(max_size=80) | damaged(ENVELOPES), step=st.integers(1, 90))
@example(data=len(b"[" * 40_000).to_bytes(4, "big") + b"[" * 40_000, step=40_004)
@example(data=b"\x00\x00\x00\x2e" + b'{"type":"close","code":1000,"reason":"\\ud800"}', step=90)
def test_the_edge_reads_every_envelope_or_refuses_it(data: bytes, step: int) -> None:
    reader = edge_frames.EnvelopeReader(1 << 16)
    with suppress(edge_frames.BridgeProtocolError):
        for piece in cut(data, step):
            check_messages(list(reader.feed(piece)))


def check_messages(messages: Sequence[edge_frames.Message]) -> None:
    """What was read can be passed on to the third party."""
    for message in messages:
        if isinstance(message, edge_frames.CloseMessage):
            edge_frames.encode_close(sendable_code(message.code), message.reason)
            message.reason.encode()
        elif isinstance(message, str):
            message.encode()
        (again,) = edge_frames.EnvelopeReader(1 << 20).feed(edge_frames.encode_envelope(message))
        assert again == message


@given(
    document=JSON
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "binary", "close"])},
        optional={"data": JSON, "code": JSON, "reason": JSON},
    )
)
@example(document={"type": "binary", "data": "\x80"})
@example(document={"type": "close", "reason": "\ud800"})
def test_the_listener_reads_every_envelope_or_refuses_it(document: object) -> None:
    text = json.dumps(document).encode()
    with suppress(bridge_frames.FrameError):
        message = bridge_frames.decode_envelope(text)
        if isinstance(message, bridge_frames.Close):
            bridge_frames.encode_close(message.code, message.reason)
        elif isinstance(message, str):
            message.encode()
    with suppress(edge_frames.BridgeProtocolError):
        check_messages(list(edge_frames.EnvelopeReader(1 << 20).feed(len(text).to_bytes(4, "big") + text)))


@given(
    data=damaged(
        [bridge_frames.encode_frame(bridge_frames.Opcode.BINARY, e, mask_key=b"abcd") for e in ENVELOPES]
    ),
    step=st.integers(1, 90),
)
def test_the_listener_reads_every_damaged_frame_or_refuses_it(data: bytes, step: int) -> None:
    frames = bridge_frames.FrameParser(allow_text=True)
    envelopes = bridge_frames.EnvelopeParser(1 << 16)
    with suppress(bridge_frames.FrameError, bridge_frames.MessageTooBig):
        for piece in cut(data, step):
            for opcode, payload in frames.feed(piece):
                if opcode is bridge_frames.Opcode.BINARY:
                    for text in envelopes.feed(payload):
                        bridge_frames.decode_envelope(text)


def client_hello(name: str = "my-app.localhost") -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@given(
    data=damaged([bytes.fromhex("16030100050100000100")])
    | st.binary(max_size=40).map(lambda tail: client_hello()[:80] + tail),
    at=st.integers(0, 300),
    value=st.integers(0, 65535),
)
def test_every_hello_names_a_host_or_is_judged(data: bytes, at: int, value: int) -> None:
    whole = bytearray(client_hello())
    whole[at : at + 2] = value.to_bytes(2, "big")
    for hello in (data, bytes(whole)):
        with suppress(NotTls, Incomplete):
            name = server_name(hello)
            assert name is None or (name.isascii() and name == name.lower())
            EdgeNames("localhost:1", "localhost:1").tunnel_name(name or "")


@given(text=st.text(max_size=30) | damaged_text(["my-app.localhost:8443", "[::1]:80", "inkboxwire.com"]))
def test_every_authority_is_a_tunnel_or_none_and_every_zone_a_place_or_a_value_error(text: str) -> None:
    assert hostname(text) == hostname(text).lower()
    EdgeNames("localhost", "localhost").tunnel_name(text)
    with suppress(ValueError):
        host, port = split_zone(text)
        assert host
        assert 0 <= port <= 65535
    with suppress(ValueError):
        check_forward_url(text, allow_remote=False)


@given(
    settings=st.lists(
        st.text(max_size=20) | damaged_text(["default_pool_size=5", "closing_seconds=2.5"]), max_size=3
    )
)
@example(settings=["closing_seconds=nan"])
@example(settings=["gather_bytes=" + "9" * 5000])
def test_every_limit_on_a_command_line_is_one_or_a_value_error(settings: list[str]) -> None:
    with suppress(ValueError):
        EdgeLimits.parse(settings)


STATE = b'{"tunnel_id": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "name": "a", "zone": "b", "public_host": "c"}'


@given(content=st.binary(max_size=60) | damaged([STATE]))
@example(content=b"[" * 100_000)
@example(content=b'{"tunnel_id": "{{{{6f9619ff-8b86-4d01-b42d-00cf4fc964ff"}')
def test_every_state_file_is_read_or_forgotten(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = StateDirectory(Path(folder))
        state.write("state.json", content)
        state.save(found := state.load())
        assert state.load() == found
        assert isinstance(found, TunnelState)


@pytest.fixture(scope="module")
def pems() -> tuple[bytes, bytes]:
    from ..tunnels.authority import Authority

    authority = Authority()
    with tempfile.TemporaryDirectory() as folder:
        state = StateDirectory(Path(folder))
        load_or_create_key(state)
        return state.key_path.read_bytes(), authority.pem


@given(data=st.data())
def test_every_key_and_certificate_file_is_used_or_replaced(
    pems: tuple[bytes, bytes], data: st.DataObject
) -> None:
    key, certificate = pems
    with tempfile.TemporaryDirectory() as folder:
        state = StateDirectory(Path(folder))
        state.write("private_key.pem", data.draw(damaged([key]) | st.binary(max_size=40)))
        loaded = load_or_create_key(state)
        state.write("cert_chain.pem", data.draw(damaged([certificate]) | st.binary(max_size=40)))
        certificate_expiry(state, loaded)


@given(cert=st.text(max_size=20), chain=st.text(max_size=20))
def test_every_signed_certificate_is_kept_or_refused(cert: str, chain: str) -> None:
    with tempfile.TemporaryDirectory() as folder, suppress(ValueError):
        store_chain(StateDirectory(Path(folder)), cert, chain)
