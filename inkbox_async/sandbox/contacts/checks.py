"""What a contact must be like: a name, real addresses and numbers, nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import phonenumbers

from inkbox_async.generated.models.contacts import (
    ContactEmail,
    ContactPhone,
    CreateContactRequest,
    UpdateContactRequest,
)
from inkbox_async.sandbox.handling import ApiError, invalid
from inkbox_async.sandbox.mail.addresses import normalise_address

from .rows import LISTS, SCALARS, Values

_NAMES = ("given_name", "family_name", "company_name", "preferred_name")


def check_name(values: Values) -> None:
    """Make sure that a contact has a name to be called by.

    Raises:
        ApiError: 400 when it has none.
    """
    if not any((values.get(name) or "").strip() for name in _NAMES):
        raise ApiError(400, f"A contact needs at least one of {', '.join(_NAMES)}.")


def given_values(body: CreateContactRequest | UpdateContactRequest) -> dict[str, Any]:  # Any: see Values
    """The fields of a contact that a request gives, checked, as they are stored; a null list is an empty one.

    Raises:
        ApiError: 422 for what is no address, number or URL, for anything given twice, and for more than one
            primary entry in a list.
    """
    _check_emails(body.emails or ())
    _check_phones(body.phones or ())
    for index, website in enumerate(body.websites or ()):
        if not website.value.strip() or not website.value.isprintable():
            raise invalid("Not a URL", "body", "websites", index, "url")
    values: dict[str, Any] = {}  # Any: see Values
    for name in body.model_fields_set & {*SCALARS, *LISTS}:
        value = getattr(body, name)
        if name in LISTS:
            value = [part.model_dump(mode="json", by_alias=True) for part in value or ()]
        elif name == "birthday" and value is not None:
            value = value.isoformat()
        values[name] = value
    return values


def is_e164(number: str) -> bool:
    """Whether a text is a telephone number in E.164 form, of a length that its country has."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.format_number(
        parsed, phonenumbers.PhoneNumberFormat.E164
    ) == number and phonenumbers.is_possible_number(parsed)


def _check_emails(emails: Sequence[ContactEmail]) -> None:
    seen: set[str] = set()
    for index, email in enumerate(emails):
        place = ("body", "emails", index, "value")
        try:
            key = normalise_address(email.value)
        except ValueError as error:
            raise invalid(f"Not an e-mail address: {error}", *place) from None
        if key in seen:
            raise invalid("The address stands here twice", *place)
        seen.add(key)
        email.value = email.value.strip()
    _check_primary("emails", [email.is_primary for email in emails])


def _check_phones(phones: Sequence[ContactPhone]) -> None:
    seen: set[str] = set()
    for index, phone in enumerate(phones):
        place = ("body", "phones", index, "value_e164")
        if not is_e164(phone.value):
            raise invalid("Not a phone number in E.164 form, such as +15551234567", *place)
        if phone.value in seen:
            raise invalid("The number stands here twice", *place)
        seen.add(phone.value)
    _check_primary("phones", [phone.is_primary for phone in phones])


def _check_primary(name: str, flags: Sequence[bool]) -> None:
    if sum(flags) > 1:
        raise invalid("Only one entry may be the primary one", "body", name, kind="too_many_primaries")
