"""The test vectors of `vectors.json`, which were made by running the official client."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

Case = dict[str, Any]  # Any: vectors of every shape


@cache
def _document() -> Case:
    text = (Path(__file__).parent / "vectors.json").read_text(encoding="utf-8")
    document: Case = json.loads(text)
    return document


def cases(section: str) -> list[Case]:
    """The cases of one section."""
    found: list[Case] = _document()["sections"][section]["cases"]
    assert found, f"section {section} is empty"
    return found


def value(section: str) -> Any:  # Any: vectors of every shape
    """The value of a section that has one instead of cases."""
    return _document()["sections"][section]["value"]


def case_id(case: object) -> str | None:
    """A readable id for a parametrized case."""
    return str(case["name"]) if isinstance(case, dict) and "name" in case else None
