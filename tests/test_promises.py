"""The page of promises names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)(?:::([\w:]+))?", PAGE)))


def test_there_are_some() -> None:
    assert len(NAMED) > 20


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_what_is_named_exists(file: str, test: str) -> None:
    path = ROOT / file
    assert path.exists(), f"docs/reliability.md names {file}, which does not exist"
    for name in filter(None, test.split("::")):
        found = re.search(
            rf"^\s*(async )?(def|class) {name}\b", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        assert found, f"docs/reliability.md names {file}::{test}, which does not exist"
