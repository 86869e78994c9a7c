"""Proxies: which one the environment asks for, and a request through one."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from yarl import URL

from inkbox_async.errors import InkboxError
from inkbox_async.pool import environment_proxy

from .conftest import Connect
from .servers import Server

API = "https://inkbox.ai"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("base_url", "variables", "proxy"),
    [
        (API, {}, None),
        (API, {"HTTPS_PROXY": "http://proxy.example:3128"}, "http://proxy.example:3128"),
        (API, {"https_proxy": "http://u:p%40@proxy.example:3128"}, "http://u:p%40@proxy.example:3128"),
        (API, {"HTTPS_PROXY": "proxy.example:3128"}, "http://proxy.example:3128"),
        (API, {"HTTP_PROXY": "http://proxy.example"}, None),
        (API, {"ALL_PROXY": "https://all.example"}, "https://all.example"),
        (API, {"ALL_PROXY": "socks5://all.example", "HTTPS_PROXY": "http://p"}, "http://p"),
        (API, {"HTTPS_PROXY": ""}, None),
        (API, {"HTTPS_PROXY": "http://p", "NO_PROXY": "inkbox.ai"}, None),
        (API, {"HTTPS_PROXY": "http://p", "NO_PROXY": "other.example, .ai"}, None),
        (API, {"HTTPS_PROXY": "http://p", "NO_PROXY": "*"}, None),
        (API, {"HTTPS_PROXY": "http://p", "NO_PROXY": "other.example,kbox.ai"}, "http://p"),
        (API + ":8443", {"HTTPS_PROXY": "http://p", "NO_PROXY": "inkbox.ai:8443"}, None),
        ("https://eu.inkbox.ai", {"HTTPS_PROXY": "http://p", "no_proxy": "inkbox.ai"}, None),
        ("http://localhost:8040", {"HTTP_PROXY": "http://p", "ALL_PROXY": "http://p"}, None),
        ("http://127.0.0.1:8040", {"HTTP_PROXY": "http://p"}, None),
        ("http://[::1]:8040", {"HTTP_PROXY": "http://p"}, None),
        ("https://scout.localhost:8443", {"HTTPS_PROXY": "http://p"}, None),
    ],
)
def test_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, base_url: str, variables: dict[str, str], proxy: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert environment_proxy(URL(base_url)) == (None if proxy is None else URL(proxy))


@pytest.mark.parametrize("address", ["socks5://u:secret@proxy.example", "http://", "http://[secret"])
def test_a_proxy_of_an_unknown_kind(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)

    with pytest.raises(InkboxError, match="proxy") as caught:
        environment_proxy(URL(API))

    assert "secret" not in str(caught.value)


async def test_loopback_is_reached_directly(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    await connect().request("GET", "/api/v1/x", None)

    assert len(server.seen) == 1


class Proxy:
    """A CONNECT proxy that leads every host to one port of this machine, or refuses."""

    def __init__(self, target: int, refuse: bytes = b"") -> None:
        self.target = target
        self.refuse = refuse
        self.heads: list[str] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        if self.refuse:
            writer.write(self.refuse)
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    @staticmethod
    async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for `api.inkbox.test`: its PEM file, and a server context that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api.inkbox.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("api.inkbox.test"), x509.IPAddress(ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "public.pem", folder / "private.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(public, private)
    return public, context


CLIENT = """
import asyncio, json, sys
from inkbox_async.errors import InkboxError
from inkbox_async.settings import Settings
from inkbox_async.transport import Transport

async def main():
    transport = Transport(Settings(api_key="the-key", base_url=sys.argv[1], max_retries=2))
    try:
        print(json.dumps(await transport.request("GET", "/api/v1/x", dict)))
    except InkboxError as error:
        print(json.dumps([type(error).__name__, str(error), repr(error.__cause__), repr(error.__context__)]))
    finally:
        await transport.aclose()

asyncio.run(main())
"""


async def run_client(base_url: str, **variables: str) -> Any:
    """What a client prints in a process of its own, where trusted certificates can be chosen."""
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", CLIENT, base_url),
        env={**environment, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert err == b""
    return json.loads(out)


async def start_tls_server(context: ssl.SSLContext) -> tuple[web.ServerRunner, int, list[str]]:
    keys: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        keys.append(request.headers.get("X-API-Key", ""))
        return web.json_response({"host": request.host, "path": request.path})

    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    return runner, runner.addresses[0][1], keys


async def test_a_request_through_a_proxy(tmp_path: Path) -> None:
    public, context = certificate(tmp_path)
    runner, port, keys = await start_tls_server(context)
    async with Proxy(port) as proxy:
        answer = await run_client(
            "https://api.inkbox.test",
            HTTPS_PROXY=f"http://user:pass%40word@127.0.0.1:{proxy.port}",
            SSL_CERT_FILE=str(public),
        )
    await runner.cleanup()

    assert answer == {"host": "api.inkbox.test", "path": "/api/v1/x"}
    assert keys == ["the-key"]
    assert len(proxy.heads) == 1
    assert proxy.heads[0].startswith("CONNECT api.inkbox.test:443 ")
    assert "the-key" not in proxy.heads[0]
    credentials = next(line for line in proxy.heads[0].splitlines() if line.startswith("Proxy-Authorization"))
    assert b64decode(credentials.split()[-1]) == b"user:pass@word"


async def test_a_proxy_that_refuses(tmp_path: Path) -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with Proxy(1, refuse=refusal) as proxy:
        name, text, cause, context = await run_client(
            "https://api.inkbox.test", HTTPS_PROXY=f"http://user:secret@127.0.0.1:{proxy.port}"
        )

    assert name == "InkboxConnectionError"
    assert "the proxy refused a way to https://api.inkbox.test (HTTP 407)" in text
    assert "secret" not in text + cause + context
    assert "the-key" not in text + cause + context


async def test_a_proxy_that_is_not_there(unused_tcp_port: int) -> None:
    name, text, cause, context = await run_client(
        "https://api.inkbox.test", HTTPS_PROXY=f"http://user:secret@127.0.0.1:{unused_tcp_port}"
    )

    assert name == "InkboxConnectionError"
    assert "cannot reach the proxy" in text
    assert "secret" not in text + cause + context


async def test_a_server_that_nobody_vouches_for(tmp_path: Path) -> None:
    _, context = certificate(tmp_path)
    runner, port, keys = await start_tls_server(context)
    name, text, cause, _ = await run_client(f"https://127.0.0.1:{port}")
    await runner.cleanup()

    assert name == "InkboxConnectionError"
    assert "SSL_CERT_FILE" in text
    assert "SSLCertVerificationError" in cause
    assert keys == []


async def test_a_private_authority(tmp_path: Path) -> None:
    public, context = certificate(tmp_path)
    runner, port, _ = await start_tls_server(context)
    answer = await run_client(f"https://127.0.0.1:{port}", SSL_CERT_FILE=str(public))
    await runner.cleanup()

    assert answer["path"] == "/api/v1/x"
