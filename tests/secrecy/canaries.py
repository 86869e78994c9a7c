"""Values that must appear nowhere, in every form in which they could appear."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 8
"""Shorter pieces of an encoded value could turn up by chance."""


class Canaries:
    """Secrets by name, and the search for them."""

    def __init__(self) -> None:
        self._forms: dict[str, str] = {}
        self._count = 0

    def add(self, name: str, value: str | bytes) -> None:
        """Watch for a value."""
        self._count += 1
        for form, text in forms(value):
            if len(text) >= min(SHORTEST, len(value)):
                self._forms.setdefault(text, f"{name} ({form})")

    def __len__(self) -> int:
        return self._count

    def leaks(self, seen: Iterable[tuple[str, str]]) -> list[str]:
        """What was seen of the canaries: which one, in which form, and where."""
        texts: dict[str, str] = {}
        for where, text in seen:
            texts.setdefault(text, where)
        everything = "\n".join(texts)
        present = [(form, name) for form, name in self._forms.items() if form in everything]
        return sorted(
            {f"{name} in {where}" for form, name in present for text, where in texts.items() if form in text}
        )


def forms(value: str | bytes) -> Iterator[tuple[str, str]]:
    """The spellings of a value."""
    if isinstance(value, bytes):
        raw = value
        yield "as bytes", repr(value)[2:-1]
        yield "as bytearray", str(list(value))[1:-1]
    else:
        raw = value.encode()
        yield "as it is", value
        yield "as a repr", repr(value)[1:-1]
        yield "as the repr of bytes", repr(raw)[2:-1]
        yield "as JSON", json.dumps(value)[1:-1]
        yield "as JSON in Unicode", json.dumps(value, ensure_ascii=False)[1:-1]
        yield "as HTML", html.escape(value)
    yield "URL-encoded", quote(raw, safe="")
    yield "URL-encoded, as a path", quote(raw)
    yield "URL-encoded, as a form", quote_plus(raw)
    yield "as hex", raw.hex()
    yield "as capital hex", raw.hex().upper()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # What stands before or after the value changes no more than the first and last characters.
            text = encode(bytes(before) + raw).decode().rstrip("=")
            start = (0, 2, 3)[before]
            yield "as base64", text[start : len(text) - ((before + len(raw)) % 3 != 0)]
