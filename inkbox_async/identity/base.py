"""The cached side of an identity: what the server last said of it, and what its channels need."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from ..errors import InkboxError
from ..generated.models.common import FilterMode
from ..generated.models.identities import (
    AgentIdentityDetail,
    AgentIdentitySummary,
    IdentityIMessageNumber,
    IdentityMailbox,
    IdentityPhoneNumber,
    IdentityStatus,
)
from ..generated.models.tunnels import TunnelSummary
from ..resources import Resources

CHANNELS = ("mailbox", "phone_number", "imessage_number", "tunnel")


class IdentityBase:
    """An identity's data and channels, as the server last told them.

    Args:
        data: The identity with its channels.
        inkbox: The resources to act through.
    """

    def __init__(self, data: AgentIdentityDetail, inkbox: Resources) -> None:
        self._data: AgentIdentityDetail | AgentIdentitySummary = data
        self._inkbox = inkbox
        self._mailbox = data.mailbox
        self._phone_number = data.phone_number
        self._imessage_number = data.imessage_number
        self._tunnel = data.tunnel

    def __repr__(self) -> str:
        mailbox = self._mailbox.email_address if self._mailbox else None
        number = self._phone_number.number if self._phone_number else None
        return f"<AgentIdentity {self.agent_handle!r} mailbox={mailbox!r} phone_number={number!r}>"

    @property
    def id(self) -> UUID:
        """Id of the identity."""
        return self._data.id

    @property
    def organization_id(self) -> str:
        """Id of the organization that owns it."""
        return self._data.organization_id

    @property
    def agent_handle(self) -> str:
        """The unique name of the identity."""
        return self._data.agent_handle

    @property
    def display_name(self) -> str | None:
        """Name shown to people, for instance in the From field of mail."""
        return self._data.display_name

    @property
    def description(self) -> str | None:
        """The organization's own note about the agent."""
        return self._data.description

    @property
    def email_address(self) -> str | None:
        """Address of the mailbox."""
        return self._data.email_address

    @property
    def status(self) -> IdentityStatus:
        """`active` or `paused`."""
        return self._data.status

    @property
    def created_at(self) -> datetime:
        """When the identity was created."""
        return self._data.created_at

    @property
    def updated_at(self) -> datetime:
        """When the identity was last changed."""
        return self._data.updated_at

    @property
    def imessage_enabled(self) -> bool:
        """Whether people may connect to the agent over iMessage."""
        return self._data.imessage_enabled

    @property
    def contact_sharing_enabled(self) -> bool:
        """Whether a dedicated iMessage line shares the agent's name and picture."""
        return self._data.contact_sharing_enabled

    @property
    def imessage_filter_mode(self) -> FilterMode:
        """How contact rules are read for iMessage."""
        return self._data.imessage_filter_mode

    @property
    def mail_filter_mode(self) -> FilterMode:
        """How contact rules are read for mail."""
        return self._data.mail_filter_mode

    @property
    def mail_inbound_filter_mode(self) -> FilterMode:
        """How contact rules are read for mail that arrives."""
        return self._data.mail_inbound_filter_mode

    @property
    def mail_outbound_filter_mode(self) -> FilterMode:
        """How contact rules are read for mail that is sent."""
        return self._data.mail_outbound_filter_mode

    @property
    def phone_filter_mode(self) -> FilterMode:
        """How contact rules are read for calls, texts and iMessages."""
        return self._data.phone_filter_mode

    @property
    def phone_inbound_filter_mode(self) -> FilterMode:
        """How contact rules are read for calls, texts and iMessages that arrive."""
        return self._data.phone_inbound_filter_mode

    @property
    def phone_outbound_filter_mode(self) -> FilterMode:
        """How contact rules are read for calls, texts and iMessages that go out."""
        return self._data.phone_outbound_filter_mode

    @property
    def slack_filter_mode(self) -> FilterMode:
        """How contact rules are read for Slack."""
        return self._data.slack_filter_mode

    @property
    def slack_inbound_filter_mode(self) -> FilterMode:
        """How contact rules are read for Slack messages that arrive."""
        return self._data.slack_inbound_filter_mode

    @property
    def slack_outbound_filter_mode(self) -> FilterMode:
        """How contact rules are read for Slack messages that are sent."""
        return self._data.slack_outbound_filter_mode

    @property
    def signing_key_configured(self) -> bool:
        """Whether the identity has a signing key of its own."""
        return self._data.signing_key_configured

    @property
    def signing_key_created_at(self) -> datetime | None:
        """When that key was created or replaced."""
        return self._data.signing_key_created_at

    @property
    def mailbox(self) -> IdentityMailbox | None:
        """The mailbox; None only when the identity was deleted."""
        return self._mailbox

    @property
    def phone_number(self) -> IdentityPhoneNumber | None:
        """The phone number, if one was provisioned."""
        return self._phone_number

    @property
    def imessage_number(self) -> IdentityIMessageNumber | None:
        """The dedicated iMessage line, if one is attached."""
        return self._imessage_number

    @property
    def tunnel(self) -> TunnelSummary | None:
        """The tunnel; None only when the identity was deleted."""
        return self._tunnel

    async def refresh(self) -> Self:
        """Ask the server for the identity again and replace all that is cached.

        Returns:
            The identity itself.

        Raises:
            InkboxAPIError: 404, it was deleted or renamed, or may not be seen any more.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `GET /api/v1/identities/{agent_handle}`.
        """
        self._replace(await self._inkbox.identities.get(self.agent_handle))
        return self

    async def release_phone_number(self) -> None:
        """Give the phone number back for good: it cannot be had again.

        Raises:
            InkboxError: the identity has no phone number.
            InkboxAPIError: 403 or 404, the API key may not do this.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `DELETE /api/v1/identities/{agent_handle}/phone_number`.
        """
        self._phone_number_id()
        await self._inkbox.identities.release_phone_number(self.agent_handle)
        self._phone_number = None

    def _replace(self, data: AgentIdentityDetail) -> None:
        """Take over a whole answer, channels included."""
        self._data = data
        self._mailbox = data.mailbox
        self._phone_number = data.phone_number
        self._imessage_number = data.imessage_number
        self._tunnel = data.tunnel

    def _keep(self, answer: AgentIdentitySummary) -> None:
        """Take over an answer that may lack channels: older servers leave them out of updates."""
        renamed = answer.agent_handle != self.agent_handle
        self._data = answer
        for channel in CHANNELS:
            if channel in answer.model_fields_set:
                setattr(self, f"_{channel}", getattr(answer, channel))
            elif renamed and channel == "tunnel" and self._tunnel is not None:
                # The tunnel is named after the handle.
                host = f"{answer.agent_handle}.{self._tunnel.zone}"
                self._tunnel = self._tunnel.model_copy(
                    update={"tunnel_name": answer.agent_handle, "public_host": host}
                )

    def _mailbox_address(self) -> str:
        if self._mailbox is None:
            raise InkboxError(
                f"identity {self.agent_handle!r} has no mailbox; mailboxes are made with create_identity(), "
                "and refresh() fetches the present state"
            )
        return self._mailbox.email_address

    def _phone_number_id(self) -> UUID:
        if self._phone_number is None:
            raise InkboxError(
                f"identity {self.agent_handle!r} has no phone number; get one with provision_phone_number()"
            )
        return self._phone_number.id

    def _imessage_identity_id(self) -> UUID:
        if not self.imessage_enabled:
            raise InkboxError(
                f"iMessage is not enabled for identity {self.agent_handle!r}; "
                "enable it with identity.update(imessage_enabled=True), or make identities with "
                "create_identity(..., imessage_enabled=True)"
            )
        return self.id
