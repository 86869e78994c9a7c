"""Python values to JSON bodies, response bytes to models, by the shortest way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import Enum
from types import NoneType
from typing import Any, get_args
from uuid import uuid4

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, SchemaValidator, to_json
from pydantic_core.core_schema import any_schema

from .error_mapping import response_error
from .modeling import InkboxModel
from .query import check_aware
from .unset import Unset

LARGE = 256 * 1024
"""Characters from which a text is too long to be encoded in one go in the event loop."""

Decoder = Callable[[bytes, str, str], Any]  # Any: the type the decoder was asked for
"""Takes the body, and for its errors the method and path of the request."""

_ANY_JSON = SchemaValidator(any_schema())
_making = threading.Lock()
decoders: dict[object, Decoder] = {}


def json_body(value: object) -> tuple[bytes, Callable[[], list[bytes]] | None]:
    """A value as JSON: the bytes, or for one with very long texts a function that makes the pieces.

    Models are written with `to_wire()`; UNSET values are left out. The function is for a worker thread: it
    gives up the interpreter after every piece, so that the event loop keeps running beside it.

    Raises:
        ValueError: The value cannot be JSON, or a datetime has no time zone.
    """
    long_texts: dict[str, str] = {}
    plain = _plain("body", value, long_texts)
    shell: bytes | None
    try:
        shell = to_json(plain)
    except PydanticSerializationError:
        shell = None
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
            piece: bytes | None
            try:
                piece = to_json(text[start : start + LARGE])[1:-1]
            except PydanticSerializationError:
                piece = None
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

    The first decoder of a type takes milliseconds to make; `decoders` keeps it.
    """
    try:
        return decoders[response_type]
    except KeyError:
        with _making:
            made = decoders[response_type] = _make_decoder(response_type)
        return made


def _make_decoder(response_type: Any) -> Decoder:
    if response_type is None or response_type is NoneType:
        return _reader(_nothing)
    if response_type is bytes:
        return lambda body, *_: body
    if response_type is str:
        return lambda body, *_: body.decode("utf-8", "replace")
    if isinstance(response_type, type) and issubclass(response_type, BaseModel):
        # Reading the attribute is what builds the schema of a model that waited for its first use.
        return _reader(response_type.__pydantic_validator__.validate_json)
    validate: Callable[[bytes], Any] = TypeAdapter(response_type).validator.validate_json
    if NoneType in get_args(response_type):
        return _reader(lambda body: validate(body) if body else None)
    return _reader(validate)


def _reader(validate: Callable[[bytes], Any]) -> Decoder:
    def read(body: bytes, method: str, path: str) -> Any:  # Any: what `validate` makes
        try:
            return validate(body)
        except ValidationError as error:
            failure = response_error(error, method=method, path=path, size=len(body))
        # Raised out here, because the validation error quotes the values.
        raise failure

    return read


def _nothing(body: bytes) -> None:
    if body:
        _ANY_JSON.validate_json(body)
