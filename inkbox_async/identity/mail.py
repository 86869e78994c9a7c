"""Mail helpers that are more than one operation: unread mail, and flags of many messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from ..generated.models.mail import Message, MessageDirection
from ..paging import AsyncPages
from ..resource import sequence
from ..resources import Resources


class MailHelpers:
    """Helpers for the identity's mailbox."""

    _inkbox: Resources

    if TYPE_CHECKING:

        def _mailbox_address(self) -> str: ...

    def iter_unread_emails(
        self,
        *,
        page_size: int = 50,
        direction: MessageDirection | str | None = None,
        start_datetime: str | None = None,
        end_datetime: str | None = None,
        tz: str | None = None,
    ) -> AsyncPages[Message]:
        """List the unread messages, newest first.

        The server cannot select by the flag: all messages are fetched, page by page, and read ones are
        skipped. Marking messages while iterating is safe.

        Args:
            page_size: Number of messages fetched with each request, 1 to 100.
            direction: Only messages that were received (`inbound`) or sent (`outbound`).
            start_datetime: Earliest time, as an ISO 8601 date or date and time.
            end_datetime: Latest time, as an ISO 8601 date or date and time.
            tz: IANA time zone in which dates without an offset are read.

        Returns:
            The messages, fetched while they are iterated over.

        Raises:
            InkboxError: the identity has no mailbox.

        Source: `GET /api/v1/mail/mailboxes/{email_address}/messages`.
        """
        messages = self._inkbox.messages.list(
            self._mailbox_address(),
            page_size=page_size,
            direction=direction,
            start_datetime=start_datetime,
            end_datetime=end_datetime,
            tz=tz,
        )
        return messages.filter(lambda message: not message.is_read)

    async def mark_emails_read(self, message_ids: Iterable[UUID | str]) -> None:
        """Mark messages as read, one request each, in order.

        Args:
            message_ids: Ids of the messages (`Message.id`).

        Raises:
            InkboxError: the identity has no mailbox.
            InkboxAPIError: 404, one of them does not exist; those before it are marked.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `PATCH /api/v1/mail/mailboxes/{email_address}/messages/{message_id}`.
        """
        address = self._mailbox_address()
        for message_id in sequence(message_ids, "message_ids"):
            await self._inkbox.messages.mark_read(address, message_id)

    async def mark_emails_unread(self, message_ids: Iterable[UUID | str]) -> None:
        """Mark messages as unread, one request each, in order.

        Args:
            message_ids: Ids of the messages (`Message.id`).

        Raises:
            InkboxError: the identity has no mailbox.
            InkboxAPIError: 404, one of them does not exist; those before it are marked.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `PATCH /api/v1/mail/mailboxes/{email_address}/messages/{message_id}`.
        """
        address = self._mailbox_address()
        for message_id in sequence(message_ids, "message_ids"):
            await self._inkbox.messages.mark_unread(address, message_id)
