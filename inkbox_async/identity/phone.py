"""Phone helpers that are more than one operation: the number itself, calls, and texts that were read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from ..errors import InkboxAPIError
from ..generated.models.identities import IdentityPhoneNumber
from ..generated.models.phone import (
    CallMode,
    CallOrigin,
    HostedAgentAuthorityMode,
    OnVoicemail,
    PhoneCall,
    PhoneCallWithRateLimit,
    PhoneTranscript,
    TextConversationUpdateResult,
    TextMessage,
    VoicemailDetection,
)
from ..resources import Resources
from ..secrecy import hiding

_NOT_FOUND = 404
DEDICATED = "dedicated_number"


class PhoneHelpers:
    """Helpers for the identity's phone number."""

    _inkbox: Resources
    _phone_number: IdentityPhoneNumber | None

    if TYPE_CHECKING:

        @property
        def id(self) -> UUID: ...

        @property
        def agent_handle(self) -> str: ...

        def _phone_number_id(self) -> UUID: ...

        async def refresh(self) -> Any: ...  # Any: the identity, of the class that this is mixed into

    async def provision_phone_number(
        self, *, type: str = "local", state: str | None = None
    ) -> IdentityPhoneNumber:
        """Order a phone number for the identity. Calls work at once, texts when `sms_status` is `ready`.

        Args:
            type: Kind of number: `local`, or `toll_free`, which today's servers refuse.
            state: The US state that a local number should belong to, two letters such as `NY`.

        Returns:
            The number, which is the identity's `phone_number` from now on.

        Raises:
            InkboxAPIError: 403, the API key may not do this; 404, there is no such number in stock; 409, the
                identity has a number; 422, the kind or state is not known; 402 or 429, the plan allows no
                more.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/phone/numbers`, `GET /api/v1/identities/{agent_handle}`.
        """
        number = await self._inkbox.phone_numbers.provision(
            agent_handle=self.agent_handle, type=type, state=state
        )
        await self.refresh()
        return self._phone_number or number

    @hiding
    async def place_call(
        self,
        *,
        to_number: str,
        client_websocket_url: str | None = None,
        origination: CallOrigin | str = DEDICATED,
        mode: CallMode | str = "client_websocket",
        hosted_agent_authority_mode: HostedAgentAuthorityMode | str | None = None,
        voicemail_detection: VoicemailDetection | str | None = None,
        on_voicemail: OnVoicemail | str | None = None,
        voicemail_message: str | None = None,
        reason: str | None = None,
    ) -> PhoneCallWithRateLimit:
        """Place a call from the identity's phone number.

        Args:
            to_number: The number to call in E.164 form.
            client_websocket_url: The `wss://` address at which the agent takes part in the call. Left out,
                the one that is stored with the number.
            origination: The kind of line to call from. Only `dedicated_number` needs a phone number.
            mode: Who speaks for the identity: its own program, or Inkbox's agent (`hosted_agent`).
            hosted_agent_authority_mode: How much Inkbox's agent may do.
            voicemail_detection: Use `on_voicemail`: `enabled` is `hang_up`, `disabled` is `ignore`.
            on_voicemail: What happens on an answering machine.
            voicemail_message: What is said to an answering machine, at most 1000 characters.
            reason: What Inkbox's agent is to do in the call.

        Returns:
            The call, just placed, with `rate_limit`: what is left of the organization's calls.

        Raises:
            InkboxError: the identity has no phone number.
            RecipientBlockedError: contact rules forbid to call this number.
            InkboxAPIError: 422, something does not go together; 429, the calls of the day are used up; 502,
                the carrier did not take the call.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/phone/place-call`.
        """
        dedicated = origination == DEDICATED
        if dedicated:
            self._phone_number_id()
        number = self._phone_number
        return await self._inkbox.calls.place(
            to_number=to_number,
            from_number=number.number if dedicated and number is not None else None,
            agent_identity_id=None if dedicated else self.id,
            client_websocket_url=client_websocket_url,
            origination=origination,
            mode=mode,
            hosted_agent_authority_mode=hosted_agent_authority_mode,
            voicemail_detection=voicemail_detection,
            on_voicemail=on_voicemail,
            voicemail_message=voicemail_message,
            reason=reason,
        )

    async def list_calls(
        self,
        *,
        limit: int = 50,
        offset: int = 0,
        is_blocked: bool | None = None,
        start_datetime: str | None = None,
        end_datetime: str | None = None,
        tz: str | None = None,
    ) -> list[PhoneCall]:
        """List the identity's calls, newest first.

        Args:
            limit: Largest number of calls to return, 1 to 200.
            offset: Number of calls to skip, from the newest. 0 or more.
            is_blocked: Only calls that contact rules kept out (true), or only those they let through (false).
            start_datetime: Earliest time, as an ISO 8601 date or date and time. Not known to older servers.
            end_datetime: Latest time, as an ISO 8601 date or date and time. Not known to older servers.
            tz: IANA time zone in which dates without an offset are read.

        Raises:
            InkboxError: the identity has no phone number.
            InkboxAPIError: 422, a value is out of range.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `GET /api/v1/phone/calls`; where a server does not have it,
            `GET /api/v1/phone/numbers/{phone_number_id}/calls`.
        """
        number_id, calls = self._phone_number_id(), self._inkbox.calls
        try:
            return await calls.list(
                agent_identity_id=self.id,
                limit=limit,
                offset=offset,
                is_blocked=is_blocked,
                start_datetime=start_datetime,
                end_datetime=end_datetime,
                tz=tz,
            )
        except InkboxAPIError as error:
            # Without its dates the question would be another one.
            if error.status_code != _NOT_FOUND or start_datetime is not None or end_datetime is not None:
                raise
        return await calls.list(number_id, limit=limit, offset=offset, is_blocked=is_blocked)

    async def list_transcripts(self, call_id: UUID | str) -> list[PhoneTranscript]:
        """List what was said in a call, in order.

        Args:
            call_id: Id of the call.

        Raises:
            InkboxError: the identity has no phone number.
            InkboxAPIError: 404, there is no such call.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `GET /api/v1/phone/calls/{call_id}/transcripts`; where a server does not have it,
            `GET /api/v1/phone/numbers/{phone_number_id}/calls/{call_id}/transcripts`.
        """
        number_id = self._phone_number_id()
        try:
            return await self._inkbox.calls.transcripts(call_id)
        except InkboxAPIError as error:
            if error.status_code != _NOT_FOUND:
                raise
        return await self._inkbox.transcripts.list(number_id, call_id)

    async def hangup_call(self, call_id: UUID | str) -> PhoneCall:
        """Hang up a call. Not known to older servers.

        Args:
            call_id: Id of the call.

        Returns:
            The call, which may not have ended yet.

        Raises:
            InkboxAPIError: 404, there is no such call; 409, it has ended, or is not on the line yet.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/phone/calls/{call_id}/hangup`.
        """
        return await self._inkbox.calls.hangup(call_id)

    async def mark_text_read(self, text_id: UUID | str) -> TextMessage:
        """Mark a text as read.

        Args:
            text_id: Id of the text.

        Returns:
            The text.

        Raises:
            InkboxError: the identity has no phone number.
            InkboxAPIError: 404, there is no such text.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `PATCH /api/v1/phone/numbers/{phone_number_id}/texts/{text_id}`.
        """
        return await self._inkbox.texts.update(self._phone_number_id(), text_id, is_read=True)

    async def mark_text_conversation_read(self, remote_number: str | UUID) -> TextConversationUpdateResult:
        """Mark every text of a conversation as read.

        Args:
            remote_number: Id of the conversation, or the other party's number in E.164 form.

        Returns:
            What has changed; `result["updated_count"]` is `result.updated_count`.

        Raises:
            InkboxError: the identity has no phone number.
            InkboxAPIError: 404, there is no such conversation.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `PATCH /api/v1/phone/numbers/{phone_number_id}/texts/conversations/{remote_number}`.
        """
        return await self._inkbox.texts.update_conversation(
            self._phone_number_id(), remote_number, is_read=True
        )
