"""From the bytes of a request to validated parameters and models, and from answers back to bytes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError
from multidict import MultiMapping
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from inkbox_async.modeling import InkboxModel, OpenEnum
from inkbox_async.operation import Operation

from .handling import JSON, ApiError, UploadedFile, invalid

MAX_BODY_BYTES = 36 * 1024 * 1024
"""Largest request body: 25 MB of attachments in base64, and what is around them."""

_JSON_TYPES = ("application/json", "application/octet-stream", "application/x-www-form-urlencoded")
# aiohttp reads a missing Content-Type as octet-stream; curl -d says form-urlencoded unless told otherwise.
_RAW_TYPES = {"control.send_email": "message/rfc822"}  # what these operations take beside JSON, as it is
_SMALL_BODY = 128 * 1024  # larger ones are parsed off the event loop


# What aiohttp raises for parts with broken headers or boundaries, and for unknown or false encodings in them.
_MALFORMED_PARTS = (ValueError, LookupError, RuntimeError, HttpProcessingError)
_MAX_PARTS = 100


@dataclass(frozen=True, slots=True)
class Body:
    """What the body of a request is; `error` is to be raised once the caller is known to be allowed."""

    content: bytes = field(default=b"", repr=False)
    model: BaseModel | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, UploadedFile] = field(default_factory=dict)
    error: ApiError | None = None


@cache
def resolve(path: str) -> type[InkboxModel]:
    """The model named by an import path such as `inkbox_async.generated.models.mail:Message`."""
    module, _, name = path.partition(":")
    model: type[InkboxModel] = getattr(import_module(module), name)
    return model


def parse_path(operation: Operation, raw: Mapping[str, str]) -> dict[str, Any]:  # Any: str or int
    """Path parameters in their types.

    Raises:
        ApiError: 422 for one that is not of its type.
    """
    values: dict[str, Any] = {}  # Any: str or int
    for name, text in raw.items():
        kind = operation.path_types.get(name, "string")
        try:
            values[name] = _PATH_TYPES[kind](text)
        except ValueError:
            word = "a UUID" if kind == "uuid" else "an integer"
            raise invalid(f"Input should be {word}", "path", name, kind=f"{kind}_parsing") from None
    return values


def parse_query(operation: Operation, query: MultiMapping[str]) -> BaseModel | None:
    """The query model of an operation.

    Raises:
        ApiError: 422 for parameters that are unknown, missing, or of another type.
    """
    if operation.query is None:
        return None
    values = {name: query.getall(name) if len(query.getall(name)) > 1 else query[name] for name in query}
    return checked(resolve(operation.query), values, "query")


async def read_body(operation: Operation, request: web.Request) -> Body:
    """The body of a request to an operation.

    Raises:
        ApiError: 413 for one that is too large.
    """
    too_large = ApiError(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
    if request.content_length is not None and request.content_length > MAX_BODY_BYTES:
        raise too_large  # without waiting for it
    try:
        if operation.body_media == "multipart/form-data":
            return await _read_multipart(request)
        content = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large from None
    if operation.body is None:
        return Body(content)
    if request.content_type == _RAW_TYPES.get(operation.id):
        return Body(content)
    if not content.strip():
        missing = invalid("Field required", "body", kind="missing") if operation.body_required else None
        return Body(content, error=missing)
    if not is_json(request.content_type):
        return Body(content, error=invalid("Send application/json", "body", kind="media_type"))
    model = resolve(operation.body)
    try:
        if len(content) <= _SMALL_BODY:
            return Body(content, checked(model, content, "body"))
        return Body(content, await asyncio.to_thread(checked, model, content, "body"))
    except ApiError as error:
        return Body(content, error=error)


def is_json(content_type: str) -> bool:
    """Whether bodies of this media type are read as JSON: also those whose type is a program's default."""
    return content_type in _JSON_TYPES or content_type.endswith("+json")


def checked(model: type[BaseModel], value: bytes | Mapping[str, object], where: str) -> BaseModel:
    """A value as the model, as a server reads requests: nothing unknown, neither fields nor enum values.

    Values of JSON have the types that are specified, so that a client's slip is not taken for what it is not
    (`0` for false, `true` for a number of seconds); those of a query are text, and read as what they say.

    Raises:
        ApiError: 422 with everything that is wrong.
    """
    try:
        if isinstance(value, bytes):
            parsed = model.model_validate_json(
                value, strict=True, extra="forbid", by_alias=True, by_name=False
            )
        else:
            parsed = model.model_validate(value, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as error:
        raise ApiError(422, problems(error, where)) from None
    strangers = list(_unknown_enum_values(parsed, (where,)))
    if strangers:
        raise ApiError(422, strangers)
    return parsed


def problems(error: ValidationError, where: str) -> list[dict[str, JSON]]:
    """What is wrong, one entry a problem, without repeating the input: it may hold secrets."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {"loc": [where, *_names(item["loc"])], "msg": item["msg"], "type": item["type"]} for item in found
    ]


def encode(value: object) -> bytes:
    """The JSON of an answer: models with all their fields, by their names on the wire."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, BaseModel):
        return value.__pydantic_serializer__.to_json(value, by_alias=True)
    if isinstance(value, list):
        return b"[" + b",".join(encode(item) for item in value) + b"]"
    return to_json(value)


def _names(location: tuple[int | str, ...]) -> list[int | str]:
    """Where the problem is, in names of the wire: without the tags that unions add."""
    return [part for part in location if not (isinstance(part, str) and ("[" in part or "(" in part))]


def _unknown_enum_values(value: object, location: tuple[int | str, ...]) -> list[dict[str, JSON]]:
    if isinstance(value, OpenEnum):
        if value.is_known:
            return []
        known = ", ".join(repr(str(member)) for member in type(value))
        return [{"loc": list(location), "msg": f"Input should be one of {known}", "type": "enum"}]
    if isinstance(value, BaseModel):
        items = [
            (type(value).model_fields[name].alias or name, getattr(value, name))
            for name in value.model_fields_set & type(value).model_fields.keys()
        ]
        return [p for name, item in items for p in _unknown_enum_values(item, (*location, name))]
    if isinstance(value, list):
        return [p for i, item in enumerate(value) for p in _unknown_enum_values(item, (*location, i))]
    return []


def _uuid_text(text: str) -> str:
    return str(uuid.UUID(text))


_PATH_TYPES: Mapping[str, Callable[[str], str | int]] = {"uuid": _uuid_text, "integer": int, "string": str}


async def _read_multipart(request: web.Request) -> Body:
    if request.content_type != "multipart/form-data":
        return Body(error=invalid("Send multipart/form-data", "body", kind="media_type"))
    form: dict[str, str] = {}
    files: dict[str, UploadedFile] = {}
    size = 0
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise ValueError("a part without a name, or with parts of its own")
            content = bytes(await part.read(decode=True))
            size += len(content)
            if size > MAX_BODY_BYTES or len(form) + len(files) >= _MAX_PARTS:
                raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES)
            if part.filename:
                kind = part.headers.get("Content-Type", "application/octet-stream")
                files[part.name] = UploadedFile(part.filename, kind, content)
            else:
                form[part.name] = content.decode(part.get_charset(default="utf-8"))
    except _MALFORMED_PARTS:
        message = "This is not well-formed multipart/form-data, or a part of it cannot be decoded"
        return Body(error=invalid(message, "body", kind="multipart_invalid"))
    return Body(form=form, files=files)
