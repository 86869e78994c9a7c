"""The embedded sandbox: starting, stopping, resetting, several at once, from any loop or thread."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.store import Store, StoreError

from .conftest import Api


async def test_it_serves_while_it_is_entered_and_leaves_nothing_behind() -> None:
    before, threads = asyncio.all_tasks(), set(threading.enumerate())
    async with Sandbox() as sandbox:
        port = int(sandbox.base_url.rpartition(":")[2])
        assert sandbox.base_url == f"http://127.0.0.1:{port}"
        assert sandbox.control_url == f"{sandbox.base_url}/_sandbox"
        assert sandbox.console_url.startswith(sandbox.base_url)
        assert sandbox.api_key.startswith("ApiKey_")
        assert sandbox.organization_id.startswith("org_")
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    assert asyncio.all_tasks() == before
    left = set(threading.enumerate()) - threads
    assert not [thread for thread in left if thread.name.startswith("sandbox-store")]
    await sandbox.stop()


async def test_several_run_side_by_side_and_know_nothing_of_each_other() -> None:
    async with Sandbox() as one, Sandbox() as two, one.client() as first, two.client() as second:
        await first.create_identity("same-name")
        await second.create_identity("same-name")
        assert one.organization_id != two.organization_id
        assert [identity.agent_handle for identity in await second.list_identities()] == ["same-name"]
        await one.reset()
        assert await first.list_identities() == []
        assert len(await second.list_identities()) == 1


async def test_reset_keeps_the_key_and_forgets_everything_else(sandbox: Sandbox, admin: Api) -> None:
    await admin.identity("agent-one")
    other = await admin.organization()
    sandbox.clock.advance(1_000_000)
    sandbox.faults.add(path="/api/whoami", status=500, times=None)
    await sandbox.reset()
    assert sandbox.requests() == []
    assert await admin.ok("GET", "/api/v1/identities/") == []
    whoami = await admin.ok("GET", "/api/whoami")
    assert whoami["organization_id"] == sandbox.organization_id
    assert (await other.call("GET", "/api/whoami")).status == 401
    await admin.identity("agent-one")


async def test_reset_ends_work_that_is_under_way(sandbox: Sandbox) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await sandbox.clock.sleep(3600)
        finally:
            ended.set()

    await sandbox.store.run(lambda tx: tx.after_commit(work))
    await asyncio.wait_for(started.wait(), 10)
    await sandbox.reset()
    await asyncio.wait_for(ended.wait(), 10)


async def test_stopping_ends_work_that_is_under_way() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with Sandbox() as sandbox:
        await sandbox.store.run(lambda tx: tx.after_commit(work))
        await asyncio.wait_for(started.wait(), 10)
    assert ended.is_set()


async def test_other_threads_and_loops_may_use_it(sandbox: Sandbox) -> None:
    async def visit() -> tuple[int, int]:
        async with sandbox.client() as inkbox:
            await inkbox.create_identity("from-afar")
            before = len(await inkbox.list_identities())
        await sandbox.world.add_domain("mail.example.com")
        await sandbox.reset()
        async with sandbox.client() as inkbox:
            return before, len(await inkbox.list_identities())

    assert await asyncio.to_thread(asyncio.run, visit()) == (1, 0)


async def test_data_in_a_file_outlive_the_sandbox(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    async with Sandbox(data=path) as sandbox, sandbox.client() as inkbox:
        key, organization = sandbox.api_key, sandbox.organization_id
        await inkbox.create_identity("keeper")
        moment = sandbox.clock.advance(30 * 86400)
    async with Sandbox(data=str(path)) as sandbox, sandbox.client() as inkbox:
        assert (sandbox.api_key, sandbox.organization_id) == (key, organization)
        assert [identity.agent_handle for identity in await inkbox.list_identities()] == ["keeper"]
        assert sandbox.clock.now() > moment, "time goes on from where it was"
        await sandbox.reset()
    async with Sandbox(data=path) as sandbox, sandbox.client() as inkbox:
        assert sandbox.api_key == key
        assert await inkbox.list_identities() == []
        assert sandbox.clock.now() < moment


async def test_a_sandbox_that_cannot_start_says_why_and_closes_everything(tmp_path: Path) -> None:
    before, threads = asyncio.all_tasks(), set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        async with Sandbox(port=taken.getsockname()[1]):
            pass
    (tmp_path / "notes").write_text("not a database")
    with pytest.raises(StoreError, match="not a sandbox's data file"):
        async with Sandbox(data=tmp_path / "notes"):
            pass
    assert asyncio.all_tasks() == before
    left = set(threading.enumerate()) - threads
    assert not [thread for thread in left if thread.name.startswith("sandbox-store")]


async def test_a_file_of_a_sandbox_killed_while_it_started_is_used(tmp_path: Path) -> None:
    store = Store(tmp_path / "sandbox.db")
    await store.open()  # the tables are there, the ready-made organization is not yet
    await store.close()
    async with Sandbox(data=tmp_path / "sandbox.db") as sandbox, sandbox.client() as inkbox:
        assert (await inkbox.whoami()).organization_id == sandbox.organization_id


async def test_the_authority_is_found_from_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with Sandbox(data="sandbox.db") as sandbox:
        assert sandbox.ca_cert_path is not None
        assert Path(sandbox.ca_cert_path).is_absolute()


async def test_it_is_started_once() -> None:
    sandbox = Sandbox()
    async with sandbox:
        with pytest.raises(RuntimeError, match="make a new"):
            await sandbox.__aenter__()
    with pytest.raises(RuntimeError, match="make a new"):
        await sandbox.__aenter__()


async def test_before_it_runs_it_says_how_to_run_it() -> None:
    sandbox = Sandbox()
    with pytest.raises(RuntimeError, match="async with"):
        _ = sandbox.api_key
    with pytest.raises(RuntimeError, match="async with"):
        await sandbox.reset()


async def test_after_it_ran_it_says_that_it_was_stopped() -> None:
    sandbox = Sandbox()
    assert repr(sandbox) == "<Sandbox not started>"
    async with sandbox:
        assert repr(sandbox) == f"<Sandbox {sandbox.base_url}>"
    with pytest.raises(StoreError, match="was stopped"):
        await sandbox.world.outbox("mail")


async def test_its_session_finds_its_names(sandbox: Sandbox) -> None:
    port = sandbox.base_url.rpartition(":")[2]
    async with sandbox.session() as session:
        for url in (f"http://nobody.localhost:{port}/", f"https://nobody.localhost:{sandbox.edge_port}/"):
            async with session.get(url) as response:
                assert response.status == 404
                assert (await response.json())["reason"] == "no-tunnel"


async def test_secrets_are_in_no_repr(sandbox: Sandbox) -> None:
    organization = await sandbox.world.create_organization()
    assert sandbox.api_key not in f"{sandbox!r} {sandbox.home!r} {sandbox.settings!r}"
    assert organization.api_key != sandbox.api_key


def test_without_its_extra_the_sandbox_says_what_to_install() -> None:
    program = "import sys; sys.modules['aiosmtpd'] = None; import inkbox_async.sandbox"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'inkbox-async[sandbox]'" in done.stderr
