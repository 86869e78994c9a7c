"""Every resource of the API on one transport, each made when it is first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..generated.resources.identities import ApiKeysResource, DomainsResource, WhoamiResource
    from ..generated.resources.mail import MailboxesResource
    from ..generated.resources.phone import (
        PhoneNumbersResource,
        SmsOptInsResource,
        TextsResource,
        TranscriptsResource,
    )
    from ..transport import Transport
    from ..tunnels.resource import TunnelsResource
    from ..vault.resource import VaultResource
    from .calls import CallsResource
    from .contacts import ContactsResource
    from .identities import IdentitiesResource
    from .imessages import IMessageContactRulesResource, IMessagesResource
    from .mail_contact_rules import MailContactRulesResource
    from .messages import MessagesResource
    from .notes import NotesResource
    from .phone_contact_rules import PhoneContactRulesResource
    from .signing_keys import SigningKeysResource
    from .threads import ThreadsResource
    from .webhook_subscriptions import WebhooksNamespace


class Resources:
    """The resources that a client and its identities share.

    Args:
        transport: Sends every request.
    """

    # Modules are imported where they are needed: the models of an area cost nothing until it is used.

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @cached_property
    def identities(self) -> IdentitiesResource:
        """Agent identities as plain data; `create_identity` and `get_identity` give them as objects."""
        from .identities import IdentitiesResource

        return IdentitiesResource(self._transport)

    @cached_property
    def api_keys(self) -> ApiKeysResource:
        """API keys of identities."""
        from ..generated.resources.identities import ApiKeysResource

        return ApiKeysResource(self._transport)

    @cached_property
    def signing_keys(self) -> SigningKeysResource:
        """The secrets that webhooks and call WebSockets are signed with."""
        from .signing_keys import SigningKeysResource

        return SigningKeysResource(self._transport)

    @cached_property
    def domains(self) -> DomainsResource:
        """The organization's sending domains."""
        from ..generated.resources.identities import DomainsResource

        return DomainsResource(self._transport)

    @cached_property
    def mailboxes(self) -> MailboxesResource:
        """Mailboxes: settings and search."""
        from ..generated.resources.mail import MailboxesResource

        return MailboxesResource(self._transport)

    @cached_property
    def messages(self) -> MessagesResource:
        """Mail messages: list, read, send, answer, forward, flag, delete."""
        from .messages import MessagesResource

        return MessagesResource(self._transport)

    @cached_property
    def threads(self) -> ThreadsResource:
        """Mail threads and their folders."""
        from .threads import ThreadsResource

        return ThreadsResource(self._transport)

    @cached_property
    def mail_contact_rules(self) -> MailContactRulesResource:
        """Who may write to a mailbox."""
        from .mail_contact_rules import MailContactRulesResource

        return MailContactRulesResource(self._transport)

    @cached_property
    def phone_numbers(self) -> PhoneNumbersResource:
        """Phone numbers: order, settings, release, and what was said in their calls."""
        from ..generated.resources.phone import PhoneNumbersResource

        return PhoneNumbersResource(self._transport)

    @cached_property
    def calls(self) -> CallsResource:
        """Calls: place, list, hang up, and what was said in them."""
        from .calls import CallsResource

        return CallsResource(self._transport)

    @cached_property
    def transcripts(self) -> TranscriptsResource:
        """What was said in the calls of a phone number; `calls.transcripts` on today's servers."""
        from ..generated.resources.phone import TranscriptsResource

        return TranscriptsResource(self._transport)

    @cached_property
    def texts(self) -> TextsResource:
        """Texts (SMS and MMS): send, list, read, search, and conversations."""
        from ..generated.resources.phone import TextsResource

        return TextsResource(self._transport)

    @cached_property
    def sms_opt_ins(self) -> SmsOptInsResource:
        """Who agreed to get texts, and who declined."""
        from ..generated.resources.phone import SmsOptInsResource

        return SmsOptInsResource(self._transport)

    @cached_property
    def phone_contact_rules(self) -> PhoneContactRulesResource:
        """Who may call and text a phone number."""
        from .phone_contact_rules import PhoneContactRulesResource

        return PhoneContactRulesResource(self._transport)

    @cached_property
    def contacts(self) -> ContactsResource:
        """The address book, with `contacts.access` and `contacts.vcards`."""
        from .contacts import ContactsResource

        return ContactsResource(self._transport)

    @cached_property
    def notes(self) -> NotesResource:
        """Free-form notes, with `notes.access`."""
        from .notes import NotesResource

        return NotesResource(self._transport)

    @cached_property
    def imessages(self) -> IMessagesResource:
        """iMessage: the triage line, messages, conversations, tapbacks, files."""
        from .imessages import IMessagesResource

        return IMessagesResource(self._transport)

    @cached_property
    def imessage_contact_rules(self) -> IMessageContactRulesResource:
        """Who gets through to an identity over iMessage."""
        from .imessages import IMessageContactRulesResource

        return IMessageContactRulesResource(self._transport)

    @cached_property
    def vault(self) -> VaultResource:
        """The organization's encrypted vault: secrets, keys and access."""
        from ..vault.resource import VaultResource

        return VaultResource(self._transport)

    @cached_property
    def webhooks(self) -> WebhooksNamespace:
        """Webhooks: `webhooks.subscriptions`."""
        from .webhook_subscriptions import WebhooksNamespace

        return WebhooksNamespace(self._transport)

    @cached_property
    def tunnels(self) -> TunnelsResource:
        """Tunnels: local applications at public HTTPS addresses."""
        from ..tunnels.resource import TunnelsResource

        return TunnelsResource(self._transport)

    @cached_property
    def _whoami(self) -> WhoamiResource:
        from ..generated.resources.identities import WhoamiResource

        return WhoamiResource(self._transport)
