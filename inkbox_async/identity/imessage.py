"""iMessage helpers of operations that do not name the identity: tapbacks, receipts, typing, uploads."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from ..generated.models.imessage import (
    IMessageMarkReadResult,
    IMessageMediaUpload,
    IMessageReaction,
    IMessageReactionType,
)
from ..resources import Resources


class IMessageHelpers:
    """Helpers for the identity's iMessage conversations."""

    _inkbox: Resources

    if TYPE_CHECKING:

        def _imessage_identity_id(self) -> UUID: ...

    async def send_imessage_reaction(
        self, *, message_id: UUID | str, reaction: IMessageReactionType | str, part_index: int = 0
    ) -> IMessageReaction:
        """Put a tapback on a message. It replaces the one that the agent put on the same part before.

        Args:
            message_id: Id of the message that it is for.
            reaction: `love`, `like`, `dislike`, `laugh`, `emphasize`, `question`, or on newer servers `eyes`.
            part_index: Which part of the message it is for, from 0.

        Returns:
            The tapback.

        Raises:
            InkboxError: iMessage is not enabled for the identity.
            ValueError: Another `reaction`, such as `custom`, which can only be received.
            RecipientBlockedError: 403, contact rules forbid the person.
            InkboxAPIError: 404, no such message; 409, the person is not connected any more.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/imessage/reactions`.
        """
        self._imessage_identity_id()
        return await self._inkbox.imessages.send_reaction(
            message_id=message_id, reaction=reaction, part_index=part_index
        )

    async def mark_imessage_conversation_read(self, conversation_id: UUID | str) -> IMessageMarkReadResult:
        """Mark the messages of a conversation as read. The person sees a read receipt.

        Args:
            conversation_id: Id of the conversation.

        Returns:
            How many messages were unread until now.

        Raises:
            InkboxError: iMessage is not enabled for the identity.
            InkboxAPIError: 404, no such conversation; 409, the person is not connected any more.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/imessage/mark-read`.
        """
        self._imessage_identity_id()
        return await self._inkbox.imessages.mark_conversation_read(conversation_id)

    async def send_imessage_typing(self, conversation_id: UUID | str) -> None:
        """Show the person that an answer is being typed. The indicator goes away by itself.

        Args:
            conversation_id: Id of the conversation.

        Raises:
            InkboxError: iMessage is not enabled for the identity.
            InkboxAPIError: 404, no such conversation; 409, the person is not connected any more.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/imessage/typing`.
        """
        self._imessage_identity_id()
        await self._inkbox.imessages.send_typing(conversation_id)

    async def upload_imessage_media(
        self, *, content: bytes, filename: str, content_type: str | None = None
    ) -> IMessageMediaUpload:
        """Upload a file to send.

        Args:
            content: The file, at most 10 MiB (10,485,760 bytes).
            filename: Its name.
            content_type: Its MIME type. Left out, `application/octet-stream`.

        Returns:
            The upload; its `media_url` goes into `media_urls` of `send_imessage`.

        Raises:
            InkboxError: iMessage is not enabled for the identity.
            ValueError: The file is empty or too large, or its name or type cannot be sent. Nothing was sent.
            InkboxAPIError: 413 or 422, the server does not take the file.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/imessage/media`.
        """
        self._imessage_identity_id()
        return await self._inkbox.imessages.upload_media(
            content=content, filename=filename, content_type=content_type
        )
