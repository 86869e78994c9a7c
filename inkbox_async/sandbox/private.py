"""Files that only the user can read: from the moment they are there, and whatever the umask is."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

_FILE = 0o600
_DIRECTORY = 0o700
_TEMPORARY = ".tmp-"


def private_directory(path: Path) -> None:
    """Make a directory, and what is missing above it, or close one and the files in it to everybody else.

    What a killed process has left half written in it is removed.
    """
    missing = [place for place in (path, *path.parents) if not place.exists()]
    for place in reversed(missing):
        with contextlib.suppress(FileExistsError):
            place.mkdir(_DIRECTORY)
    path.chmod(_DIRECTORY)
    for leftover in path.glob(f"{_TEMPORARY}*"):
        leftover.unlink(missing_ok=True)
    close_to_others(*(file for file in path.iterdir() if file.is_file()))


def touch_private(path: Path) -> None:
    """Make an empty file if there is none. One that there is stays as it is."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _FILE))
        path.chmod(_FILE)  # a umask may have taken too much


def close_to_others(*paths: Path) -> None:
    """Take from everybody else the right to read files; those that are missing are none."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            path.chmod(_FILE)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file as a whole: whoever reads it finds the old one or the new one."""
    temporary = temporary_file(path.parent, content)
    temporary.replace(path)


def temporary_file(directory: Path, content: bytes) -> Path:
    """A new file in a directory, which the caller removes or renames."""
    handle, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=directory)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
