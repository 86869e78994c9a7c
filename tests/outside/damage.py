"""Near-valid input: good samples with bytes flipped, cut out, doubled, or replaced by extremes."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

EXTREMES = (
    b"",
    b"\x00",
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"9" * 5000,
    b"[" * 3000,
    b'{"a":' * 3000,
    b"-1",
    b"1e999",
    b"NaN",
    b"\r\n\r\n",
    b"%00%ff",
    b"A" * 70_000,
    "\u202e\u0130\ufb01\U0001f600".encode(),
)
"""Lengths, depths, numbers and characters at which parsers break."""

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def damaged(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """One of the samples, damaged in up to four places."""
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 12))
        match draw(st.integers(0, 4)):
            case 0:
                data = data[:at] + draw(st.binary(max_size=4)) + data[at + size :]
            case 1:
                data = data[:at]
            case 2:
                data = data[:at] + data[at : at + size] * 2 + data[at + size :]
            case 3:
                data = data[:at] + draw(st.sampled_from(EXTREMES)) + data[at + size :]
            case _:
                data = (
                    data[: at + size]
                    + bytes(byte ^ 0xFF for byte in data[at + size : at + size + 1])
                    + data[at + size + 1 :]
                )
    return data


def damaged_text(samples: Sequence[str]) -> st.SearchStrategy[str]:
    """As `damaged`, as text with whatever characters the bytes are."""
    return damaged([sample.encode() for sample in samples]).map(
        lambda data: data.decode("utf-8", "surrogateescape")
    )
