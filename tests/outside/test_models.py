"""Whatever JSON a server answers with: every answer becomes its model, or one documented error."""

from __future__ import annotations

import json
from typing import Annotated, Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from inkbox_async import InkboxResponseError
from inkbox_async.encoding import decoder
from inkbox_async.generated import models
from inkbox_async.generated.models.identities import WhoamiResponse
from inkbox_async.generated.models.notes import Note
from inkbox_async.modeling import InkboxModel, unwrapped

from .damage import JSON, damaged

MODELS: list[type[InkboxModel]] = [
    model
    for name in dir(models)
    if isinstance(model := getattr(models, name, None), type) and issubclass(model, InkboxModel)
]
LONGEST_MESSAGE = 5000
PLAUSIBLE = st.sampled_from(
    ["6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "2025-01-01T00:00:00Z", "2025-01-01", "active", "whitelist",
     "9999-12-31T23:59:59+14:00", "a@b.example", "@", "", "+15551234567", "\ud800", 0, 1, -1, 2**70, 1.5,
     True, None]
)  # fmt: skip


@st.composite
def objects(draw: st.DrawFn, model: type[BaseModel], depth: int = 0) -> dict[str, Any]:  # Any: JSON
    """An object with the right names, and values that are right now and then."""
    made: dict[str, Any] = {}  # Any: JSON
    for name, field in model.model_fields.items():
        if not draw(st.booleans()) and not field.is_required():
            continue
        inner = [
            part
            for part in (field.annotation, *get_args(field.annotation))
            if isinstance(part, type) and issubclass(part, BaseModel)
        ]
        kind = str(field.annotation)
        value: Any  # Any: JSON
        if inner and depth < 2 and draw(st.booleans()):
            value = draw(objects(inner[0], depth + 1))
        elif "UUID" in kind and draw(st.booleans()):
            value = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
        elif "datetime" in kind and draw(st.booleans()):
            value = "2025-01-01T00:00:00Z"
        elif kind.startswith("<class 'str'") and draw(st.booleans()):
            value = draw(st.text(max_size=4))
        else:
            value = draw(PLAUSIBLE | JSON)
        made[field.alias or name] = [value] if "list" in kind and draw(st.booleans()) else value
    if draw(st.booleans()):
        made |= draw(st.dictionaries(st.text(max_size=4), JSON, max_size=2))
    return made


def check(response_type: Any, body: bytes) -> bool:  # Any: a type in every form
    """Whether it was read: into something that can be shown and sent, or with an error that can be told."""
    failure: InkboxResponseError | None = None
    try:
        read = decoder(response_type)(body, "GET", "/api/v1/x")
    except InkboxResponseError as error:
        failure = error
    if failure is not None:
        assert len(str(failure)) < LONGEST_MESSAGE
        return False
    for item in read if isinstance(read, list) else [read]:
        repr(item)
        if isinstance(item, InkboxModel):
            item.to_wire()
    return True


@settings(max_examples=300)
@given(data=st.data())
def test_every_object_is_its_model_or_a_response_error(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(MODELS))
    check(model, json.dumps(data.draw(objects(model))).encode())


@given(data=st.data())
def test_every_json_value_is_a_model_or_a_response_error(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(MODELS))
    body = json.dumps(data.draw(JSON)).encode()
    check(model, body)
    check(list[model], body)  # type: ignore[valid-type]


@given(data=st.data())
def test_every_damaged_body_is_a_model_or_a_response_error(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(MODELS))
    body = json.dumps(data.draw(objects(model))).encode()
    check(model, data.draw(damaged([body])))


@given(value=JSON | st.fixed_dictionaries({"auth_type": JSON, "auth_subtype": JSON}))
def test_unions_and_wrapped_lists_are_read_or_a_response_error(value: object) -> None:
    body = json.dumps(value).encode()
    check(WhoamiResponse, body)
    check(Annotated[list[Note], unwrapped("items")], body)


def test_the_objects_are_near_enough_to_be_read_now_and_then() -> None:
    read = 0

    @settings(max_examples=200, database=None)
    @given(made=objects(models.Notice))
    def count(made: dict[str, Any]) -> None:
        nonlocal read
        read += check(models.Notice, json.dumps(made).encode())

    count()
    assert read > 2
    assert TypeAdapter(list[models.Notice]).validate_python([]) == []
    with pytest.raises(ValidationError):
        models.Notice.model_validate({})
