"""Reading the server name out of a ClientHello, whole, in pieces and broken."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkbox_async.sandbox.edge.sni import Incomplete, NotTls, server_name


def client_hello(host: str | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """What OpenSSL sends first."""
    context = ssl.create_default_context()
    context.check_hostname = host is not None
    context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


HELLO = client_hello("Sales-Agent.localhost")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_name_of_a_real_client(version: ssl.TLSVersion) -> None:
    assert server_name(client_hello("Sales-Agent.LOCALHOST", version)) == "sales-agent.localhost"


def test_clients_that_name_no_host() -> None:
    assert server_name(client_hello(None)) is None
    assert server_name(client_hello("127.0.0.1")) is None


def test_bytes_after_the_hello_do_not_matter() -> None:
    assert server_name(HELLO + b"\x17\x03\x03\x00\x01x") == "sales-agent.localhost"


def test_every_beginning_is_incomplete() -> None:
    for size in range(len(HELLO)):
        with pytest.raises(Incomplete):
            server_name(HELLO[:size])


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_hello_spread_over_many_records(size: int) -> None:
    body = HELLO[5:]
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    spread = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts)
    assert server_name(spread) == "sales-agent.localhost"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x02\x00",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_other_bytes_are_no_tls(data: bytes) -> None:
    with pytest.raises(NotTls):
        server_name(data)


@given(st.binary(max_size=300))
def test_noise_is_judged_and_never_breaks_the_reader(data: bytes) -> None:
    _judge(data)


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255), st.integers(0, len(HELLO)))
def test_damaged_hellos_are_judged_and_never_break_the_reader(at: int, value: int, cut: int) -> None:
    damaged = bytearray(HELLO)
    damaged[at] = value
    _judge(bytes(damaged))
    _judge(bytes(damaged[:cut]))


def _judge(data: bytes) -> None:
    try:
        name = server_name(data)
    except (NotTls, Incomplete):
        return
    assert name is None or name == name.lower()
