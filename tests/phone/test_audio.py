"""Sound on the line against the tables of ITU-T G.711."""

from __future__ import annotations

import math

import pytest

from inkbox_async.sandbox.phone import audio


def expand(code: int) -> int:
    """The sample that a mu-law code stands for (G.711, table 2a), on the 16-bit scale."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


@pytest.mark.parametrize(
    ("sample", "code"),
    [(0, 0xFF), (-4, 0x7E), (32767, 0x80), (-32768, 0x00), (8159, 0x9F), (-8159, 0x1F), (1000, 0xCE)],
)
def test_known_codes(sample: int, code: int) -> None:
    assert audio.mu_law([sample]) == bytes([code])


def test_every_code_survives_a_round_trip() -> None:
    for code in set(range(256)) - {0x7F}:
        assert audio.mu_law([expand(code)])[0] == code, f"{code:#x} stands for {expand(code)}"


def test_the_error_is_small() -> None:
    for sample in range(-32600, 32600, 97):
        error = abs(expand(audio.mu_law([sample])[0]) - sample)
        assert error <= max(8, abs(sample) / 16), sample


def test_a_hum_is_as_long_as_its_words() -> None:
    short, long = audio.hum("Yes"), audio.hum("No, certainly not")
    assert len(long) == 3 * len(short)
    assert [len(piece) for piece in audio.frames(short)] == [160] * math.ceil(len(short) / 160)
