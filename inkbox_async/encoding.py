"""Python values to query strings and JSON bodies, response bytes to models, by the shortest way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime
from enum import Enum
from types import NoneType
from typing import Any, get_args
from urllib.parse import quote
from uuid import UUID, uuid4

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError, SchemaValidator, to_json
from pydantic_core.core_schema import any_schema

from .modeling import InkboxModel, Unset

LARGE = 256 * 1024
"""Bytes (or characters) from which a body is too large to be worked on in one go in the event loop."""

Decoder = Callable[[bytes], Any]  # Any: the type the decoder was asked for

_ANY_JSON = SchemaValidator(any_schema())
_decoders: dict[object, Decoder] = {}


def query_string(query: Mapping[str, object]) -> str:
    """The percent-encoded query without its `?`; None and UNSET are left out, lists repeat their name.

    Raises:
        ValueError: A datetime has no time zone, or a text is no proper Unicode.
    """
    pairs: list[str] = []
    for name, value in query.items():
        if value is None or isinstance(value, Unset):
            continue
        if isinstance(value, str):
            pairs.append(f"{name}={quoted(name, value)}")
        elif isinstance(value, (list, tuple, set, frozenset)):
            pairs += [f"{name}={quoted(name, query_text(name, item))}" for item in value]
        else:
            pairs.append(f"{name}={quoted(name, query_text(name, value))}")
    return "&".join(pairs)


def quoted(name: str, text: str, safe: str = "") -> str:
    """A text percent-encoded.

    Raises:
        ValueError: It holds lone surrogates, which UTF-8 cannot carry.
    """
    with suppress(UnicodeEncodeError):
        return quote(text, safe=safe)
    # Raised out here: the original error holds the text, which may be a secret, and would be the context.
    raise ValueError(f"{name} holds a text that UTF-8 cannot carry")


def query_text(name: str, value: object) -> str:
    """One query value as text, the way the wire spells it."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float, UUID)):
        return str(value)
    if isinstance(value, datetime):
        check_aware(name, value)
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{name} cannot travel in a query as {type(value).__name__}")


def check_aware(name: str, value: datetime) -> None:
    """Refuse a datetime without a time zone, with a ValueError: the server could only guess."""
    if value.utcoffset() is None:
        raise ValueError(
            f"{name} has no time zone; use an aware datetime, such as datetime.now(timezone.utc)"
        )


def json_body(value: object) -> tuple[bytes, Callable[[], list[bytes]] | None]:
    """A value as JSON: the bytes, or for one with very long texts a function that makes the pieces.

    Models are written with `to_wire()`; UNSET values are left out. The function is for a worker thread: it
    gives up the interpreter after every piece, so that the event loop keeps running beside it.

    Raises:
        ValueError: The value cannot be JSON, or a datetime has no time zone.
    """
    long_texts: dict[str, str] = {}
    plain = _plain("body", value, long_texts)
    shell: bytes | None = None
    with suppress(PydanticSerializationError):
        shell = to_json(plain)
    if shell is None:
        # Raised out here: the original error quotes the value, which may be a secret.
        raise ValueError("the body holds a value that JSON cannot carry")
    if not long_texts:
        return shell, None
    return b"", lambda: list(_pieces(shell, long_texts))


def _plain(name: str, value: object, long_texts: dict[str, str]) -> object:
    """The value without models and UNSET; long texts are exchanged for the marks they are filed under."""
    if isinstance(value, str):
        if len(value) < LARGE or isinstance(value, Enum):
            return value
        mark = uuid4().hex
        long_texts[mark] = value
        return mark
    if isinstance(value, dict):
        return {k: _plain(k, v, long_texts) for k, v in value.items() if not isinstance(v, Unset)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(name, item, long_texts) for item in value]
    if isinstance(value, InkboxModel):
        return _plain(name, value.to_wire(), long_texts)
    if isinstance(value, datetime):
        check_aware(name, value)
    elif isinstance(value, Mapping):
        return _plain(name, dict(value), long_texts)
    return value


def _pieces(shell: bytes, long_texts: dict[str, str]) -> Iterable[bytes]:
    # Marks stand in the shell in the order in which they were filed.
    for mark, text in long_texts.items():
        before, _, shell = shell.partition(f'"{mark}"'.encode())
        yield before + b'"'
        for start in range(0, len(text), LARGE):
            piece: bytes | None = None
            with suppress(PydanticSerializationError):
                piece = to_json(text[start : start + LARGE])[1:-1]
            if piece is None:
                raise ValueError("the body holds a text that UTF-8 cannot carry")
            yield piece
            time.sleep(0)
        yield b'"'
    yield shell


def decoder(response_type: Any) -> Decoder:  # Any: a type in every form that pydantic knows
    """What turns the bytes of an answer into `response_type`.

    `bytes` and `str` are the body itself; any other type is what pydantic reads from JSON. An empty body is
    None when the type allows None. For None itself, a body says nothing, but it has to be JSON: a page for
    people does not come from the API, and so nothing was done.
    """
    try:
        return _decoders[response_type]
    except KeyError:
        made = _decoders[response_type] = _make_decoder(response_type)
        return made


def _make_decoder(response_type: Any) -> Decoder:
    if response_type is None or response_type is NoneType:
        return _nothing
    if response_type is bytes:
        return bytes
    if response_type is str:
        return lambda raw: raw.decode("utf-8", "replace")
    if isinstance(response_type, type) and issubclass(response_type, BaseModel):
        # Reading the attribute is what builds the schema of a model that waited for its first use.
        return response_type.__pydantic_validator__.validate_json
    validate: Decoder = TypeAdapter(response_type).validator.validate_json
    if NoneType in get_args(response_type):
        return lambda raw: validate(raw) if raw else None
    return validate


def _nothing(raw: bytes) -> None:
    if raw:
        _ANY_JSON.validate_json(raw)
