"""The command line: the ready line, signals, and data that survive a killed process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

COMMAND = (sys.executable, "-m", "inkbox_async.sandbox")
FREE = ("--port", "0", "--smtp-port", "0", "--edge-port", "0")
PLACES = {
    "base_url",
    "api_key",
    "organization_id",
    "control_url",
    "console_url",
    "smtp_host",
    "smtp_port",
    "edge_host",
    "edge_port",
    "ca_cert_path",
}

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A sandbox in a process of its own, and its ready line."""
    process = subprocess.Popen(
        (*COMMAND, *FREE, "--json", *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


def call(place: dict[str, Any], method: str, path: str, body: object = None) -> Any:
    request = urllib.request.Request(
        place["base_url"] + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-API-Key": place["api_key"], "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_ready_line_is_true_and_signals_stop_it_cleanly(number: signal.Signals) -> None:
    with running() as (process, place):
        assert set(place) == PLACES
        assert place["control_url"] == place["base_url"] + "/_sandbox"
        assert call(place, "GET", "/_sandbox/health") == {"status": "ok"}
        assert call(place, "GET", "/api/whoami")["organization_id"] == place["organization_id"]
        assert urllib.request.urlopen(place["console_url"], timeout=30).status == 200
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, output, errors) == (0, "", "")


def test_for_people_it_prints_what_to_type() -> None:
    process = subprocess.Popen((*COMMAND, *FREE), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not (lines and lines[-1].startswith("Stop it")):
            lines.append(process.stdout.readline())
            assert lines[-1], process.communicate()
        text = "".join(lines)
    finally:
        process.terminate()  # a killed one leaves its certificates behind
        process.communicate(timeout=60)
    assert "export INKBOX_BASE_URL=http://127.0.0.1:" in text
    assert "export INKBOX_API_KEY=ApiKey_" in text
    assert "/console" in text


def test_a_killed_process_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    data = str(tmp_path / "sandbox.db")
    answered: list[str] = []
    for round_number in range(3):
        with running("--data", data) as (process, place):
            listed = [row["agent_handle"] for row in call(place, "GET", "/api/v1/identities/")]
            assert sorted(listed) == sorted(answered)
            for number in range(5):
                handle = f"agent-{round_number}-{number}"
                call(place, "POST", "/api/v1/identities/", {"agent_handle": handle})
                answered.append(handle)
            process.kill()
            process.wait()
    with running("--data", data) as (_, again):
        assert again["api_key"] == place["api_key"]
        assert len(call(again, "GET", "/api/v1/identities/")) == 15


def refused(*options: str) -> str:
    done = subprocess.run(
        (*COMMAND, *FREE, *options), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_it_cannot_do_it_says_in_a_sentence(tmp_path: Path) -> None:
    strange = tmp_path / "notes.txt"
    strange.write_text("this is no database")
    assert "not a sandbox's data file" in refused("--data", str(strange))
    assert "directory" in refused("--data", str(tmp_path / "missing" / "x.db"))
    for wrong in ("70000", "http", "-1"):
        assert "not a port" in refused(f"--port={wrong}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused("--port", str(taken.getsockname()[1]))
        assert "in use" in said
        assert "0 takes a free port" in said
