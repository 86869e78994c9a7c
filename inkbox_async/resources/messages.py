"""Messages beyond the specification: answering by row id, flags by name, attachment links by redirect."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from ..errors import InkboxAPIError, InkboxResponseError
from ..generated.models.mail import AttachmentLink, ForwardMode, Message
from ..generated.resources import mail as generated
from ..resource import segment
from .checks import checked, prepared


async def _answered_message(
    messages: generated.MessagesResource,
    email_address: str,
    *,
    in_reply_to_message_id: str | UUID | Message | None = None,
    **_: object,
) -> dict[str, Any]:  # Any: the arguments to replace
    """The wire knows the answered message by its Message-ID; people have its row id or the message."""
    answered = in_reply_to_message_id
    if isinstance(answered, Message):
        return {"in_reply_to_message_id": answered.message_id}
    if isinstance(answered, str) and "@" not in answered and "<" not in answered:
        try:
            answered = UUID(answered)
        except ValueError:
            return {}
    if isinstance(answered, UUID):
        try:
            found = await messages.get(email_address, answered)
        except InkboxAPIError as error:
            if error.status_code != 404:
                raise
            # Not a row of this mailbox: leave it to the server to make sense of it.
            return {"in_reply_to_message_id": str(answered)}
        return {"in_reply_to_message_id": found.message_id}
    return {}


def _check_forward(*, mode: object = ForwardMode.INLINE, **_: object) -> None:
    if mode not in tuple(ForwardMode):
        raise ValueError(f"mode must be 'inline' or 'wrapped', not {mode!r}")


class MessagesResource(generated.MessagesResource):
    """Mail messages: list, read, send, answer, forward, flag, delete."""

    send = prepared(_answered_message)(generated.MessagesResource.send)
    forward = checked(_check_forward)(generated.MessagesResource.forward)

    async def mark_read(self, email_address: str, message_id: UUID | str) -> Message:
        """Mark a message as read. Arguments, result and errors are those of `update_flags`."""
        return await self.update_flags(email_address, message_id, is_read=True)

    async def mark_unread(self, email_address: str, message_id: UUID | str) -> Message:
        """Mark a message as unread. Arguments, result and errors are those of `update_flags`."""
        return await self.update_flags(email_address, message_id, is_read=False)

    async def star(self, email_address: str, message_id: UUID | str) -> Message:
        """Star a message. Arguments, result and errors are those of `update_flags`."""
        return await self.update_flags(email_address, message_id, is_starred=True)

    async def unstar(self, email_address: str, message_id: UUID | str) -> Message:
        """Take the star off a message. Arguments, result and errors are those of `update_flags`."""
        return await self.update_flags(email_address, message_id, is_starred=False)

    async def get_attachment(
        self, email_address: str, message_id: UUID | str, filename: str, *, redirect: bool = False
    ) -> AttachmentLink:
        """Get a temporary link to an attachment.

        Args:
            email_address: Full address of the mailbox.
            message_id: Id of the message (`Message.id`).
            filename: Name of the attachment, as in `attachment_metadata`.
            redirect: Whether to ask for the link as a redirect. It is not followed: the result then holds
                the `url` alone.

        Returns:
            The link. Anybody who has it can fetch the file until it expires.

        Raises:
            InkboxAPIError: 404, no such message or attachment.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `GET /api/v1/mail/mailboxes/{email_address}/messages/{message_id}/attachments/{filename}`.
        """
        if not redirect:
            return await super().get_attachment(email_address, message_id, filename)
        path = (
            f"/api/v1/mail/mailboxes/{segment(email_address)}"
            f"/messages/{segment(message_id)}/attachments/{segment(filename)}"
        )
        response = await self._transport.request_raw("GET", path, query={"redirect": True})
        if response.location is None:
            raise InkboxResponseError(f"GET {path}: the answer has no Location header to take the link from")
        return AttachmentLink(url=response.location)
