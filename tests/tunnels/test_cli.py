"""The command line: `python -m inkbox_async tunnel`."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from inkbox_async.__main__ import main
from inkbox_async.tunnels import cli

from .conftest import Stage
from .control import API_KEY
from .control_server import ControlServer
from .fake_edge import FakeEdge

ROOT = Path(__file__).resolve().parents[2]
APPLICATION = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"from the file"})
"""


async def run(stage: Stage, control: ControlServer, *arguments: str) -> asyncio.subprocess.Process:
    (stage.state_dir.parent / "ca.pem").write_bytes(stage.authority.pem)
    (stage.state_dir.parent / "application.py").write_text(APPLICATION)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "inkbox_async",
        "tunnel",
        *arguments,
        "--base-url",
        control.url,
        "--state-dir",
        str(stage.state_dir),
        cwd=stage.state_dir.parent,
        env={
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "INKBOX_API_KEY": API_KEY,
            "INKBOX_CA_BUNDLE": "ca.pem",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_tells_what_happens_and_ends_cleanly(
    stage: Stage, edge: FakeEdge, number: signal.Signals
) -> None:
    async with ControlServer(stage.control).running() as control:
        process = await run(stage, control, "my-app", "--to", "application:app")
        reply = await edge.request("GET", "/hello?token=secret")
        assert (reply.status, reply.body) == (201, b"from the file")
        process.send_signal(number)
        out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    lines = [re.sub(r"^\d\d:\d\d:\d\d  |\(\d+ ms\)", "", line) for line in out.decode().splitlines()]
    assert lines == [
        "connecting",
        "connected",
        "https://my-app.localhost -> application:app",
        "GET /hello -> 201 ",
        "closed",
    ]


async def test_what_cannot_be_served_is_said(stage: Stage, edge: FakeEdge) -> None:
    async with ControlServer(stage.control).running() as control:
        process = await run(stage, control, "other-app", "--to", "http://127.0.0.1:9")
        out, err = await process.communicate()
    assert process.returncode == 1
    assert "no tunnel named 'other-app'" in err.decode()
    assert API_KEY not in (out + err).decode()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["my-app", "--to", "http://example.com"], "allow_remote_forwarding"),
        (["x", "--to", "http://localhost"], "handle"),
        (["my-app", "--to", "nonsense"], "module:app"),
        (["my-app", "--to", "127.0.0.1:8000"], "http://127.0.0.1:8000"),
        (["my-app", "--to", "no_such_module:app"], "no_such_module"),
        (["my-app", "--to", "os:sep"], "not an ASGI application"),
        (["my-app", "--to", "http://localhost", "--pool-size", "99"], "pool_size"),
    ],
)
def test_unusable_arguments(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INKBOX_API_KEY", API_KEY)
    assert main(["tunnel", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_without_a_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["tunnel", "my-app", "--to", "http://localhost"]) == 2
    assert "INKBOX_API_KEY" in capsys.readouterr().err


def test_every_option_is_explained() -> None:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    assert all(action.help for action in parser._actions)
