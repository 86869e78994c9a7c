"""Derived defaults of answers: hand-written bases of generated models for what one field owes to another.

Servers of different ages leave different fields out, or send them as null. A default that is a constant
stands in the specification; one that is read from another field is worked out here, once, when the object is
made. Nothing here adds to `model_fields_set`: it still names the fields that the server sent. Working an
object out twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import UUID

from pydantic import (
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from inkbox_async.modeling import InkboxModel, RequestModel

if TYPE_CHECKING:
    from inkbox_async.generated.models.contacts import ContactImportResultItem

_MODES = ("filter_mode", "inbound_filter_mode", "outbound_filter_mode")


def _null_reads_as_absent(value: object) -> object:
    # An empty string becomes a nameless, falsy member of an open enum, which `_given` takes for missing.
    return "" if value is None else value


def _empty_reads_as_null(value: object) -> object:
    return None if value in ("", []) else value


def _given(model: InkboxModel, name: str) -> Any:  # Any: the caller knows which field it asks for
    """The value that the server sent for a field, or None when it sent nothing or null."""
    return (model.__dict__[name] or None) if name in model.model_fields_set else None


def _spread(model: InkboxModel, shared: str, inbound: str, outbound: str, fallback: object) -> None:
    """Fill in both directions from the shared mode, and the shared mode from directions that agree."""
    mode = _given(model, shared) or fallback
    values = model.__dict__
    values[inbound] = _given(model, inbound) or mode
    values[outbound] = _given(model, outbound) or mode
    values[shared] = values[inbound] if values[inbound] == values[outbound] else mode


class ItemAccess(InkboxModel):
    """A model that can be read like a mapping as well: `link["url"]` is `link.url`.

    For answers that the official client returns as dictionaries.
    """

    def __getitem__(self, name: str) -> Any:  # Any: fields of every type
        if name in self:
            return getattr(self, name)
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name in type(self).model_fields or name in (self.model_extra or {})

    def keys(self) -> Iterator[str]:
        """The names of the fields, those unknown to this version included."""
        yield from type(self).model_fields
        yield from self.model_extra or {}

    def get(self, name: str, default: Any = None) -> Any:  # Any: fields of every type
        """The value of a field, or `default` when there is no such field."""
        try:
            return self[name]
        except KeyError:
            return default


class DirectionalModes(InkboxModel):
    """Mailboxes and numbers: a direction without a mode of its own has the shared `filter_mode`.

    When both directions agree, `filter_mode` is what they agree on; otherwise it stays what the server sent.
    """

    _null_modes = field_validator(*_MODES, mode="before", check_fields=False)(_null_reads_as_absent)

    @model_validator(mode="after")
    def _derive_modes(self) -> Self:
        _spread(self, *_MODES, fallback=type(self).model_fields["filter_mode"].default)
        return self


class MailboxDefaults(DirectionalModes):
    """Mailboxes: `sending_domain` is the domain of the address unless the server names another."""

    _null_domain = field_validator("sending_domain", mode="before", check_fields=False)(_null_reads_as_absent)

    @model_validator(mode="after")
    def _derive_sending_domain(self) -> Self:
        values = self.__dict__
        values["sending_domain"] = values["sending_domain"] or values["email_address"].partition("@")[2]
        return self


class PhoneNumberDefaults(DirectionalModes):
    """Phone numbers: without an `sms_status`, or with an empty one, the number is ready."""

    _null_status = field_validator("sms_status", mode="before", check_fields=False)(_null_reads_as_absent)

    @model_validator(mode="after")
    def _derive_sms_status(self) -> Self:
        self.__dict__["sms_status"] = (
            _given(self, "sms_status") or type(self).model_fields["sms_status"].default
        )
        return self


class DedicatedLine(InkboxModel):
    """Dedicated iMessage lines: the role of the line follows from what it is."""

    @property
    def line_role(self) -> str:
        """The role of the line, always `personal`."""
        return "personal"


class MediaDefaults(InkboxModel):
    """iMessages: an empty list of files is none."""

    _empty_media = field_validator("media", mode="before", check_fields=False)(_empty_reads_as_null)


class TextDefaults(InkboxModel):
    """Texts: an empty list of files or recipients is none."""

    _empty_lists = field_validator("media", "recipients", mode="before", check_fields=False)(
        _empty_reads_as_null
    )


class AssignmentDefaults(InkboxModel):
    """iMessage conversations: a connection whose status is not told is active."""

    _empty_status = field_validator("assignment_status", mode="before", check_fields=False)(
        _empty_reads_as_null
    )

    @model_validator(mode="after")
    def _derive_assignment_status(self) -> Self:
        values, default = self.__dict__, type(self).model_fields["assignment_status"].default
        told = _given(self, "assignment_status")
        values["assignment_status"] = told or (None if values["assignment_id"] is None else default)
        return self


_CHANNELS = ("mail", "phone", "slack")
_IDENTITY_MODES = (
    "imessage_filter_mode",
    *(f"{channel}{part}_filter_mode" for channel in _CHANNELS for part in ("", "_inbound", "_outbound")),
)


class IdentityModes(InkboxModel):
    """Identities: the filter modes of each channel, in both directions, from what the server sent.

    Mail, phone and Slack follow the rule of `DirectionalModes`. Older servers know one mode for phone and
    iMessage, `imessage_filter_mode`, which stands in for a missing `phone_filter_mode`; where a server sends
    both directions of the phone and they agree, `imessage_filter_mode` is what they agree on.
    """

    _null_modes = field_validator(*_IDENTITY_MODES, mode="before", check_fields=False)(_null_reads_as_absent)

    @model_validator(mode="after")
    def _derive_modes(self) -> Self:
        default = type(self).model_fields["imessage_filter_mode"].default
        imessage = _given(self, "imessage_filter_mode") or default
        inbound, outbound = (
            _given(self, "phone_inbound_filter_mode"),
            _given(self, "phone_outbound_filter_mode"),
        )
        for channel in _CHANNELS:
            _spread(
                self,
                f"{channel}_filter_mode",
                f"{channel}_inbound_filter_mode",
                f"{channel}_outbound_filter_mode",
                fallback=imessage if channel == "phone" else default,
            )
        self.__dict__["imessage_filter_mode"] = inbound if inbound and inbound == outbound else imessage
        return self


class CreateOptions(RequestModel):
    """Objects nested in a request: None leaves a field out, unless the field can be null."""

    always_sent: ClassVar[frozenset[str]] = frozenset()
    """Fields that travel with their default when they are not given."""
    nullable: ClassVar[frozenset[str]] = frozenset()
    """Fields whose None is sent as null."""

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        given: dict[str, Any] = handler(self)  # Any: JSON values of every type
        sent = {name: value for name, value in given.items() if value is not None or name in self.nullable}
        for name in self.always_sent - sent.keys():
            sent[name] = getattr(self, name)
        return sent


class MailboxOptions(CreateOptions):
    """Options of a mailbox: a `sending_domain` of None asks for the platform's domain."""

    nullable = frozenset({"sending_domain"})


class NewMailRule(RequestModel):
    """New contact rules for mail: they are active, whatever `status` is sent along."""

    @model_validator(mode="before")
    @classmethod
    def _drop_status(cls, value: object) -> object:
        if isinstance(value, Mapping):
            return {name: item for name, item in value.items() if name != "status"}
        return value


class PhoneNumberOptions(CreateOptions):
    """Options of a phone number: what happens to calls needs the address it happens at."""

    always_sent = frozenset({"type", "incoming_call_action"})

    @model_validator(mode="after")
    def _check_call_action(self) -> Self:
        action, target = self._value("incoming_call_action"), self._value("forwarding_target_type")
        if action == "auto_accept":
            self._need("client_websocket_url", because="incoming_call_action is 'auto_accept'")
        elif action == "webhook":
            self._need("incoming_call_webhook_url", because="incoming_call_action is 'webhook'")
        elif action == "forward":
            self._need("forwarding_target_type", because="incoming_call_action is 'forward'")
        match target:
            case None:
                for name in ("forwarding_phone_number", "forwarding_sip_uri"):
                    self._refuse(name, because="forwarding_target_type is not given")
            case "phone":
                self._need("forwarding_phone_number", because="forwarding_target_type is 'phone'")
                self._refuse("forwarding_sip_uri", because="forwarding_target_type is 'phone'")
            case "sip":
                self._need("forwarding_sip_uri", because="forwarding_target_type is 'sip'")
                self._refuse("forwarding_phone_number", because="forwarding_target_type is 'sip'")
            case _:
                raise ValueError(f"forwarding_target_type must be 'phone' or 'sip', not {target!r}")
        return self

    def _value(self, name: str) -> Any:  # Any: the caller knows which field it asks for
        return self.__dict__[name]

    def _need(self, name: str, *, because: str) -> None:
        if not self._value(name):
            raise ValueError(f"{name} is needed when {because}")

    def _refuse(self, name: str, *, because: str) -> None:
        if self._value(name):
            raise ValueError(f"{name} has no meaning when {because}")


class ContactPart(InkboxModel):
    """Parts of a contact that travel both ways: on the way to the server only what is known and said.

    A part that was fetched can so be sent back, even when a newer server put more into it.
    """

    def to_wire(self) -> dict[str, Any]:  # Any: JSON values of every type
        """The JSON object to send: without fields that are None or False, or unknown to this version."""
        known = set(type(self).model_fields)
        given = self.model_dump(mode="json", by_alias=True, include=known)
        return {name: value for name, value in given.items() if value is not None and value is not False}


class ContactDefaults(InkboxModel):
    """Contacts: an empty birthday is none."""

    _empty_birthday = field_validator("birthday", mode="before", check_fields=False)(_empty_reads_as_null)


class ImportReport(InkboxModel):
    """Answers to vCard imports: what became of the cards, sorted by outcome."""

    @property
    def created_ids(self) -> list[UUID]:
        """Ids of the contacts that were created, in the order of their cards."""
        return [item.contact.id for item in self._items() if item.contact is not None]

    @property
    def errors(self) -> list[ContactImportResultItem]:
        """The cards that were refused, with the status `error`, in their order."""
        return [item for item in self._items() if item.status == "error"]

    @property
    def conflicts(self) -> list[ContactImportResultItem]:
        """The cards of people who have a contact already, with the status `conflict`, in their order."""
        return [item for item in self._items() if item.status == "conflict"]

    def _items(self) -> list[ContactImportResultItem]:
        items: list[ContactImportResultItem] = self.__dict__["results"]
        return items
