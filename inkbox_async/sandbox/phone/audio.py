"""Sound on a telephone line: G.711 mu-law at 8 kHz (ITU-T G.711), from WAV files or as a hum."""

from __future__ import annotations

import io
import math
import sys
import wave
from array import array
from collections.abc import Iterable, Iterator
from functools import cache

SAMPLE_RATE = 8000
FRAME_MS = 20
FRAME_BYTES = SAMPLE_RATE * FRAME_MS // 1000

_BIAS, _CLIP = 0x84, 32635
_WORD_MS, _MOST_WORDS = 120, 1000
_TONE_HZ, _TONE_HEIGHT = 220, 6000


def mu_law(samples: Iterable[int]) -> bytes:
    """16-bit samples, compressed to one byte each."""
    table = _table()
    return bytes(table[(sample + 32768) >> 2] for sample in samples)


def mu_law_of_wav(content: bytes) -> bytes:
    """The sound of a WAV file.

    Raises:
        ValueError: It is no WAV file of 16-bit mono samples at 8 kHz.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:
        # A RuntimeError without words is how it says that a chunk is longer than the file.
        raise ValueError(f"This is no WAV file: {str(error) or 'it is cut off'}") from None
    if form != (1, 2, SAMPLE_RATE):
        raise ValueError(
            f"Give 16-bit mono samples at 8000 Hz; these have {form[0]} channels, {form[1] * 8} bits "
            f"and {form[2]} Hz"
        )
    samples = array("h", raw[: len(raw) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return mu_law(samples)


def hum(text: str) -> bytes:
    """A tone about as long as it takes to say the text (two minutes at most), where there are words only."""
    count = SAMPLE_RATE * _WORD_MS // 1000 * min(max(1, len(text.split())), _MOST_WORDS)
    tone = _tone()
    return (tone * (count // len(tone) + 1))[:count]


def frames(sound: bytes) -> Iterator[bytes]:
    """The sound in pieces of 20 ms; the last one may be shorter."""
    for start in range(0, len(sound), FRAME_BYTES):
        yield sound[start : start + FRAME_BYTES]


@cache
def _tone() -> bytes:
    """A tenth of a second of the hum, in which it swings a whole number of times."""
    step = 2 * math.pi * _TONE_HZ / SAMPLE_RATE
    return mu_law(round(_TONE_HEIGHT * math.sin(step * index)) for index in range(SAMPLE_RATE // 10))


def _compress(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = max(0, magnitude.bit_length() - 8)
    mantissa = magnitude >> (exponent + 3) & 0x0F
    return ~(sign | exponent << 4 | mantissa) & 0xFF


@cache
def _table() -> bytes:
    """The compressed form of every fourth sample: mu-law tells no finer steps apart."""
    return bytes(_compress(sample) for sample in range(-32768, 32768, 4))
