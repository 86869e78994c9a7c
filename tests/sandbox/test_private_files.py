"""What is written to disk is the user's alone: from the first moment on, whatever the umask is."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.store import StoreError
from inkbox_async.tunnels.state import StateDirectory, TunnelState

from .conftest import Api

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def no_chmod(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, files are only as private as they were made: a later chmod would come too late."""
    monkeypatch.setattr(os, "chmod", lambda *_, **__: None)
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    monkeypatch.setattr(Path, "chmod", lambda *_, **__: None)


def open_to_others(folder: Path) -> list[str]:
    """What is in a folder and has a permission for anybody but the user."""
    return [
        f"{path.relative_to(folder)} {stat.filemode(path.stat().st_mode)}"
        for path in sorted(folder.rglob("*"))
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def authority_of(sandbox: Sandbox) -> bytes:
    assert sandbox.ca_cert_path is not None
    return Path(sandbox.ca_cert_path).read_bytes()


def throw_open(folder: Path) -> None:
    for path in folder.rglob("*"):
        path.chmod(0o777)


async def use(sandbox: Sandbox) -> None:
    """Something of everything that is written: rows, their log, certificates."""
    await sandbox.world.create_organization()
    async with sandbox.client() as inkbox:
        await inkbox.create_identity("support-bot")
    assert authority_of(sandbox)


@pytest.mark.usefixtures("umask", "no_chmod")
async def test_the_sandboxs_files_are_made_private(tmp_path: Path) -> None:
    async with Sandbox(data=tmp_path / "inkbox.db") as sandbox:
        await use(sandbox)
        assert names_in(tmp_path) >= {"inkbox.db", "inkbox.db-wal", "inkbox.db.tls", "ca-key.pem"}
        assert open_to_others(tmp_path) == []
    assert open_to_others(tmp_path) == []


@pytest.mark.usefixtures("umask")
async def test_files_of_before_are_closed_to_others(tmp_path: Path) -> None:
    data = tmp_path / "inkbox.db"
    async with Sandbox(data=data) as sandbox:
        await use(sandbox)
    data.with_name("inkbox.db-wal").touch()
    throw_open(tmp_path)
    async with Sandbox(data=data) as sandbox:
        assert open_to_others(tmp_path) == []
        await use_again(sandbox)
        assert open_to_others(tmp_path) == []


async def use_again(sandbox: Sandbox) -> None:
    async with sandbox.client() as inkbox:
        assert len(await inkbox.list_identities()) == 1


async def test_a_file_that_is_not_the_sandboxs_is_left_as_it_is(tmp_path: Path) -> None:
    strange = tmp_path / "notes.txt"
    strange.write_text("this is no database")
    strange.chmod(0o644)
    with pytest.raises(StoreError, match="not a sandbox's"):
        async with Sandbox(data=strange):
            pass
    assert stat.S_IMODE(strange.stat().st_mode) == 0o644
    assert strange.read_text() == "this is no database"


async def test_what_a_killed_process_was_writing_is_cleared_away(tmp_path: Path) -> None:
    data = tmp_path / "inkbox.db"
    async with Sandbox(data=data) as sandbox:
        authority = authority_of(sandbox)
    leftover = tmp_path / "inkbox.db.tls" / ".tmp-half"
    leftover.write_bytes(b"-----BEGIN PRIV")
    async with Sandbox(data=data) as sandbox:
        assert authority_of(sandbox) == authority
    assert not leftover.exists()


@pytest.mark.usefixtures("umask", "no_chmod")
async def test_without_a_data_file_the_keys_are_in_a_private_directory() -> None:
    async with Sandbox() as sandbox:
        folder = Path(sandbox.ca_cert_path or "").parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert open_to_others(folder) == []
    assert not folder.exists()


async def test_bodies_of_requests_are_never_on_disk(
    admin: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("file", io.BytesIO(bytes(8 * 1024 * 1024)), filename="large.bin")
    url = f"{admin.sandbox.base_url}/api/v1/imessage/media"
    async with admin.session.post(url, data=form, headers={"X-API-Key": admin.key}) as response:
        assert response.status == 201
    mail = {
        "recipients": {"to": ["ann@example.com"]},
        "subject": "Large",
        "body_text": "x" * (8 * 1024 * 1024),
    }
    address = (await admin.identity("support-bot"))["email_address"]
    await admin.ok("POST", f"/api/v1/mail/mailboxes/{address}/messages", mail)


@pytest.mark.usefixtures("umask", "no_chmod")
def test_the_state_of_a_tunnel_is_made_private(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / ".inkbox" / "tunnels" / "support-bot")
    state.prepare()
    state.save(TunnelState(name="support-bot"))
    state.write("private_key.pem", b"key")
    assert open_to_others(tmp_path) == [], "with all directories that were made for it"
