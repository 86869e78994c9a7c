"""What every generated model stands on: open models and open enums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, ValidationInfo, field_validator

from .secrecy import shown


class OpenEnum(StrEnum):
    """A string enum that survives newer servers: an unknown value becomes a member-like string.

    `FilterMode("greylist")` does not raise; it equals and prints as `"greylist"`, and `is_known`
    is False. Unknown values are not added to the enum: iteration shows the documented ones only.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        stranger = str.__new__(cls, value)
        stranger._name_ = value
        stranger._value_ = value
        return stranger

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return str.__hash__(self)

    @property
    def is_known(self) -> bool:
        """True when the value is one of the documented members."""
        return self._value_ in type(self)._value2member_map_


class InkboxModel(BaseModel):
    """Base of every object on the wire: unknown fields are kept, schemas are built on first use."""

    model_config = ConfigDict(
        extra="allow",
        defer_build=True,
        populate_by_name=True,
        protected_namespaces=(),
    )

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:  # Any: values of every type
        for name, value in super().__repr_args__():
            yield name, value if name is None else shown(name, value, type(self).__name__)

    def to_wire(self) -> dict[str, Any]:  # Any: JSON values of every type
        """The JSON object to send: only the fields that were given, those given as `None` as null."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class RequestModel(InkboxModel):
    """Base of every object that only a client sends."""


def null_defaults(*fields: str) -> Any:  # Any: pydantic's decorator proxy has no public type
    """A validator that reads null as the default of each of these fields: older servers sent null."""

    def fill(cls: type[BaseModel], value: object, info: ValidationInfo) -> object:
        if value is not None or info.field_name is None:
            return value
        return cls.model_fields[info.field_name].get_default(call_default_factory=True)

    return field_validator(*fields, mode="before")(fill)


def told_apart_by(
    field: str, models: Mapping[str, str], otherwise: str, absent: str | None = None
) -> Discriminator:
    """Choose the model of a union by the value of one field.

    An unknown value chooses `otherwise`; a missing field chooses `absent` where it is given.
    """

    def choose(value: object) -> str:
        told = value.get(field) if isinstance(value, Mapping) else getattr(value, field, None)
        if told is None and absent is not None:
            return absent
        return models.get(str(told), otherwise)

    return Discriminator(choose)


@cache  # one object a name, so that decoders for the same type are found again
def unwrapped(name: str) -> BeforeValidator:
    """Read a list that some servers send bare and others as the one property `name` of an object."""

    def unwrap(value: object) -> object:
        return value[name] if isinstance(value, Mapping) and name in value else value

    return BeforeValidator(unwrap)
