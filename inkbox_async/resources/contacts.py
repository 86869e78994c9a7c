"""Contacts beyond the specification: lookups by one filter, grants that must say to whom, vCards as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel

from ..errors import InkboxResponseError
from ..generated.models.contacts import (
    ContactAccess,
    ContactAddress,
    ContactDate,
    ContactImportResult,
    ContactPhone,
    ContactWebsite,
)
from ..generated.resources import contacts as generated
from ..resource import segment
from .checks import checked, prepared

if TYPE_CHECKING:
    from ..transport import Transport

_WHOLE_CARD = re.compile(r"BEGIN:VCARD\r?\n.*\nEND:VCARD", re.DOTALL | re.IGNORECASE)

_PARTS: dict[str, type[BaseModel]] = {
    "addresses": ContactAddress,
    "dates": ContactDate,
    "phones": ContactPhone,
    "websites": ContactWebsite,
}
_FILTERS = ("email", "email_contains", "email_domain", "phone", "phone_contains")


def _check_lookup(**filters: object) -> None:
    given = [name for name in _FILTERS if filters.get(name) is not None]
    if len(given) != 1:
        raise ValueError(
            f"Exactly one of {', '.join(_FILTERS)} must be given, not {' and '.join(given) or 'none'}"
        )


async def _with_wire_names(_: object, *__: object, **fields: object) -> dict[str, Any]:
    """Parts of a contact given as mappings may use the names of the models' attributes, as the models do."""
    return {
        name: [_wired(part, model) for part in parts]
        for name, model in _PARTS.items()
        if isinstance(parts := fields.get(name), (list, tuple))
    }


def _wired(part: object, model: type[BaseModel]) -> object:
    if not isinstance(part, Mapping):
        return part
    wire_names = {name: field.alias for name, field in model.model_fields.items() if field.alias}
    return {wire_names.get(name, name): value for name, value in part.items()}


class ContactAccessResource(generated.ContactAccessResource):
    """Which identities may see a contact, one grant to everybody or one for each identity."""

    async def grant(
        self, contact_id: UUID | str, *, identity_id: UUID | str | None = None, wildcard: bool = False
    ) -> ContactAccess:
        """Let an identity, or every identity, see a contact.

        A grant to everybody replaces the single ones. Deprecated: today's servers have removed this
        operation.

        Args:
            contact_id: Id of the contact.
            identity_id: Id of the identity.
            wildcard: True grants it to every active identity instead.

        Returns:
            The grant.

        Raises:
            ValueError: Both `identity_id` and `wildcard` are given, or neither; nothing was sent.
            RedundantContactAccessGrantError: 409, everybody sees the contact already.
            InkboxAPIError: 403, the API key is no admin key; 404, no such contact or identity; 409, the
                identity sees the contact already.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        May be called with an admin key.

        Source: `POST /api/v1/contacts/{contact_id}/access`.
        """
        if wildcard and identity_id is not None:
            raise ValueError("pass identity_id or wildcard=True, not both")
        if not wildcard and identity_id is None:
            # The wire's null stands for everybody: nobody shall get there by leaving something out.
            raise ValueError("pass identity_id=..., or wildcard=True for every active identity")
        return await self._transport.request(
            "POST",
            f"/api/v1/contacts/{segment(contact_id)}/access",
            ContactAccess,
            body={"identity_id": identity_id},
        )


class ContactVCardsResource(generated.ContactVCardsResource):
    """Contacts as vCards, in and out."""

    async def import_vcards(
        self, content: str | bytes, *, content_type: str = "text/vcard"
    ) -> ContactImportResult:
        """Create contacts from a file of vCards.

        Every card stands for itself: one that cannot be read spoils none of the others. Check `errors` of the
        result even though nothing was raised.

        Args:
            content: The cards, one after the other: text, or bytes in UTF-8. At most 5 MiB and 1000 cards.
            content_type: `text/vcard` or its older name, `text/x-vcard`.

        Returns:
            What became of each card, with `created_ids` and `errors`.

        Raises:
            TypeError: The content is neither text nor bytes.
            InkboxAPIError: 400, not UTF-8; 403, the API key is no admin key; 413, more than 5 MiB or 1000
                cards; 415, another content type; 422, no complete card.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        May be called with an admin key.

        Source: `POST /api/v1/contacts/import`.
        """
        if isinstance(content, str):
            content = content.encode()
        elif not isinstance(content, (bytes, bytearray, memoryview)):
            raise TypeError(f"content must be str or bytes, not {type(content).__name__}")
        return await self._transport.request(
            "POST",
            "/api/v1/contacts/import",
            ContactImportResult,
            data=bytes(content),
            headers={"Content-Type": content_type},
        )

    async def export_vcard(self, contact_id: UUID | str) -> str:
        """Get a contact as a vCard.

        Args:
            contact_id: Id of the contact.

        Returns:
            The vCard, of version 4.0 (RFC 6350), with CRLF at the end of each line.

        Raises:
            InkboxAPIError: 404, no such contact.
            InkboxConnectionError: the server could not be reached or did not answer in time.
            InkboxResponseError: the answer is no whole vCard.

        May be called with an admin key or a claimed agent key.

        Source: `GET /api/v1/contacts/{contact_id}.vcf`.
        """
        path = f"/api/v1/contacts/{segment(contact_id)}.vcf"
        card = await self._transport.request("GET", path, str, headers={"Accept": "text/vcard"})
        if not _WHOLE_CARD.fullmatch(card.strip()):
            raise InkboxResponseError(f"GET {path} answered with something that is no vCard", malformed=True)
        return card


class ContactsResource(generated.ContactsResource):
    """The address book of the organization. An identity sees the contacts that it was granted.

    Attributes:
        access: Which identities may see a contact.
        vcards: Contacts as vCards, in and out.
    """

    create = prepared(_with_wire_names)(generated.ContactsResource.create)
    update = prepared(_with_wire_names)(generated.ContactsResource.update)
    lookup = checked(_check_lookup)(generated.ContactsResource.lookup)

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self.access = ContactAccessResource(transport)
        self.vcards = ContactVCardsResource(transport)
