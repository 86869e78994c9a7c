"""The state directory of a tunnel: which tunnel it is, its private key and its certificate.

The layout is shared with the other official listeners: `state.json`, `private_key.pem` and
`cert_chain.pem` in a directory that only its owner can enter.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from ..secrecy import hiding
from .exceptions import TunnelStateError

STATE_FILE: Final = "state.json"
KEY_FILE: Final = "private_key.pem"
CHAIN_FILE: Final = "cert_chain.pem"


@dataclass(frozen=True)
class TunnelState:
    """What `state.json` remembers of the last start."""

    tunnel_id: str | None = None
    name: str | None = None
    mode: str | None = None
    zone: str | None = None
    public_host: str | None = None


class StateDirectory:
    """A private directory; everything written into it is replaced in one step.

    Args:
        path: Where it is or is to be; `~` is expanded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser()

    @classmethod
    def default(cls, name: str) -> StateDirectory:
        """`~/.inkbox/tunnels/{name}`."""
        return cls(Path("~/.inkbox/tunnels") / name)

    @property
    def key_path(self) -> Path:
        """Where the private key is."""
        return self.path / KEY_FILE

    @property
    def chain_path(self) -> Path:
        """Where the certificate chain is, leaf first."""
        return self.path / CHAIN_FILE

    def prepare(self) -> None:
        """Create the directory, or close an existing one to everybody else.

        Raises:
            TunnelStateError: The path is a link, or no directory.
        """
        if self.path.is_symlink() or (hasattr(self.path, "is_junction") and self.path.is_junction()):
            raise TunnelStateError(f"{self.path} is a link; the state directory must be a plain directory")
        missing = [place for place in (self.path, *self.path.parents) if not place.exists()]
        for place in reversed(missing):  # `~/.inkbox`, too, where an API key may be
            with contextlib.suppress(FileExistsError):
                place.mkdir(mode=0o700)
        if not stat.S_ISDIR(self.path.lstat().st_mode):
            raise TunnelStateError(f"{self.path} is not a directory")
        self.path.chmod(0o700)

    def load(self) -> TunnelState:
        """What was remembered; empty when there is nothing readable."""
        try:
            document = json.loads((self.path / STATE_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return TunnelState()
        if not isinstance(document, dict):
            return TunnelState()

        def text(key: str) -> str | None:
            value = document.get(key)
            return value if isinstance(value, str) and value else None

        tunnel_id = text("tunnel_id")
        try:
            tunnel_id = str(UUID(tunnel_id)) if tunnel_id else None
        except ValueError:
            tunnel_id = None
        return TunnelState(tunnel_id, text("name"), text("mode"), text("zone"), text("public_host"))

    def save(self, state: TunnelState) -> None:
        """Remember for the next start."""
        document = {key: value for key, value in asdict(state).items() if value is not None}
        self.write(STATE_FILE, (json.dumps(document, indent=2, sort_keys=True) + "\n").encode())

    def read(self, name: str) -> bytes | None:
        """The content of a file, or None when it is missing or unreadable."""
        try:
            descriptor = os.open(self.path / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    @hiding
    def write(self, name: str, content: bytes) -> None:
        """Replace a file, readable only by its owner."""
        descriptor, temporary = tempfile.mkstemp(prefix=".tmp-", dir=self.path)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o600)
            Path(temporary).replace(self.path / name)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
