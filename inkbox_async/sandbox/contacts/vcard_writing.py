"""From a contact to a vCard 4.0 (RFC 6350)."""

from __future__ import annotations

import re
from itertools import count
from typing import Any

import vobject
from vobject.vcard import Address, Name

from inkbox_async.generated.models.contacts import Contact

from .rows import full_name
from .vcard_reading import LABEL, NO_LABEL

CUSTOM_FIELD = "X-CUSTOM-FIELD"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_TOKEN = re.compile(r"[a-z0-9-]+")


def write_card(contact: Contact) -> str:
    """The contact as a vCard 4.0, lines folded and ended with CRLF.

    Labels that are plain words become types; others stand beside their property as `X-ABLabel`, in a group.
    """
    return _Card(contact).text()


class _Card:
    """One card being written."""

    def __init__(self, contact: Contact) -> None:
        self._card = vobject.vCard()
        self._groups = count(1)
        self._add("version", "4.0")
        self._add("fn", contact.preferred_name or full_name(contact.model_dump()) or "")
        name = (
            contact.family_name,
            contact.given_name,
            contact.middle_name,
            contact.name_prefix,
            contact.name_suffix,
        )
        if any(name):
            self._add("n", Name(*map(_clean, name)))
        if contact.company_name:
            self._add("org", [_clean(contact.company_name)])
        self._add_text("title", contact.job_title)
        if contact.birthday:
            self._add("bday", contact.birthday.isoformat().replace("-", ""))
        self._add_text("note", contact.notes)
        self._add_parts(contact)

    def text(self) -> str:
        """The whole card."""
        written: str = self._card.serialize()
        return written

    def _add_parts(self, contact: Contact) -> None:
        for email in contact.emails:
            self._add("email", email.value, email.label, preferred=email.is_primary)
        for phone in contact.phones:
            self._add("tel", phone.value, phone.label, preferred=phone.is_primary)
        for website in contact.websites:
            # A URI is no text: nothing in it is escaped.
            self._add("url", website.value, website.label).encoded = True
        for day in contact.dates:
            date = day.value.isoformat().replace("-", "")
            if (day.label or "").lower() == "anniversary":
                self._add("anniversary", date)
            else:
                self._add("x-abdate", date, day.label, in_group=True)
        for place in contact.addresses:
            address = Address(
                *map(_clean, (place.street, place.city, place.region, place.postal_code, place.country))
            )
            self._add("adr", address, place.label)
        for field in contact.custom_fields:
            self._add(CUSTOM_FIELD.lower(), field.value, field.label, in_group=True)

    def _add_text(self, name: str, text: str | None) -> None:
        if text:
            self._add(name, text)

    def _add(
        self,
        name: str,
        value: Any,  # Any: text, or a structure of vobject's
        label: str | None = None,
        *,
        preferred: bool = False,
        in_group: bool = False,
    ) -> Any:  # Any: vobject is not typed
        line = self._card.add(name)
        line.value = _clean(value) if isinstance(value, str) else value
        if preferred:
            line.pref_param = "1"
        if label and (in_group or label in NO_LABEL or not _TOKEN.fullmatch(label)):
            line.group = f"item{next(self._groups)}"
            self._card.add(LABEL.lower(), group=line.group).value = _clean(label)
        elif label:
            line.type_param = label
        return line


def _clean(text: str | None) -> str:
    """Text without the control characters that a vCard cannot hold."""
    return _CONTROL.sub("", (text or "").replace("\r\n", "\n").replace("\r", "\n"))
