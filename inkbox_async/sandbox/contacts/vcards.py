"""vCards in and out: every card of an import for itself, one contact as one card."""

from __future__ import annotations

import re
from urllib.parse import quote

from inkbox_async.generated.models.contacts import (
    Contact,
    ContactImportResult,
    ContactImportResultItem,
    CreateContactRequest,
)
from inkbox_async.sandbox.handling import Answer, ApiError, Call, handles
from inkbox_async.sandbox.requests import checked

from .checks import given_values
from .rows import add_contact, contact_of, show_contact
from .vcard_reading import VCardError, read_card, split_cards
from .vcard_writing import write_card

MAX_BYTES = 5 * 1024 * 1024
MAX_CARDS = 1000
MEDIA_TYPES = ("text/vcard", "text/x-vcard")


@handles("contacts.vcards.import_vcards")
def import_vcards(call: Call) -> ContactImportResult:
    """Create a contact for each card that can be read."""
    items = [_import_one(call, index, card) for index, card in enumerate(_cards(call))]
    created = sum(item.status == "created" for item in items)
    return ContactImportResult(created_count=created, error_count=len(items) - created, results=items)


@handles("contacts.vcards.export_vcard")
def export_vcard(call: Call) -> Answer:
    """One contact as a file."""
    contact = show_contact(call.tx, contact_of(call))
    return Answer(
        write_card(contact).encode(),
        content_type="text/vcard; charset=utf-8",
        headers={"Content-Disposition": _disposition(contact)},
    )


def _cards(call: Call) -> list[list[str] | None]:
    """The cards in the body.

    Raises:
        ApiError: 415, 413, 400 or 422, in this order, for what the file as a whole must be.
    """
    media_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise ApiError(415, f"Send {' or '.join(MEDIA_TYPES)}, not {media_type or 'nothing'}.")
    if len(call.content) > MAX_BYTES:
        raise ApiError(413, f"The file is larger than {MAX_BYTES} bytes.")
    try:
        text = call.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ApiError(400, "The file is not UTF-8.") from None
    cards = list(split_cards(text))
    if all(card is None for card in cards):
        raise ApiError(422, "The file holds no complete card, from BEGIN:VCARD to END:VCARD.")
    if len(cards) > MAX_CARDS:
        raise ApiError(413, f"The file holds more than {MAX_CARDS} cards.")
    return cards


def _import_one(call: Call, index: int, card: list[str] | None) -> ContactImportResultItem:
    if card is None:
        return ContactImportResultItem(index=index, status="error", error="END:VCARD is missing")
    try:
        body = checked(CreateContactRequest, read_card(card), "card")
        assert isinstance(body, CreateContactRequest)
        contact = add_contact(call, given_values(body), source="vcard", viewers=None)
    except VCardError as error:
        return ContactImportResultItem(index=index, status="error", error=str(error))
    except ApiError as error:
        return ContactImportResultItem(index=index, status="error", error=_reason(error))
    return ContactImportResultItem(index=index, status="created", contact=contact)


def _reason(error: ApiError) -> str:
    """The first thing that is wrong with a card, with the field where it is."""
    if not isinstance(error.detail, list):
        return str(error.detail)
    problem = error.detail[0]
    place = ".".join(str(part) for part in problem["loc"][1:])
    return f"{place}: {problem['msg']}"


def _disposition(contact: Contact) -> str:
    """`Content-Disposition` with the name, plain for old readers and in UTF-8 (RFC 6266)."""
    name = contact.preferred_name or "contact"
    plain = re.sub(r"[^A-Za-z0-9 ._-]+", "_", name).strip() or "contact"
    return f"attachment; filename=\"{plain}.vcf\"; filename*=UTF-8''{quote(name, safe='')}.vcf"
