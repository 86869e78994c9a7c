"""iMessages beyond the specification: checks across arguments, typing indicators, and the upload of files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import UUID, uuid4

from ..generated.models.imessage import IMessageMediaUpload, IMessageReactionType
from ..generated.resources import imessage as generated
from .checks import checked
from .rule_checks import check_rule_direction, check_rule_update

MAX_MEDIA_BYTES = 10 * 1024 * 1024
"""Largest file that can be uploaded."""

_CONTENT_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:[ \t]*;[\x20-\x7e]*)?", re.ASCII)
_IN_QUOTES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


def _check_send(
    *,
    to: str | None = None,
    conversation_id: UUID | str | None = None,
    text: str | None = None,
    media_urls: Sequence[str] | None = None,
    **_: object,
) -> None:
    if (to is None) == (conversation_id is None):
        raise ValueError("name the person with exactly one of to and conversation_id")
    if not text and not media_urls:
        raise ValueError("give a text, media_urls or both")


def _check_reaction(*, reaction: IMessageReactionType | str, part_index: int = 0, **_: object) -> None:
    sendable = [str(kind) for kind in IMessageReactionType if kind is not IMessageReactionType.CUSTOM]
    if str(reaction) not in sendable:
        raise ValueError(f"reaction must be one of {', '.join(sendable)}, not {str(reaction)!r}")
    if part_index < 0:
        raise ValueError("part_index counts from 0")


class IMessagesResource(generated.IMessagesResource):
    """Chat with people over iMessage, by conversation or by the person's number."""

    send = checked(_check_send)(generated.IMessagesResource.send)
    send_reaction = checked(_check_reaction)(generated.IMessagesResource.send_reaction)

    async def send_typing(self, conversation_id: UUID | str) -> None:
        """Show the person that an answer is being typed. The indicator goes away by itself.

        Args:
            conversation_id: Id of the conversation.

        Raises:
            InkboxAPIError: 400, iMessage is not enabled for the identity; 404, no such conversation; 409,
                the person is not connected any more.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/imessage/typing`.
        """
        # The answer says nothing, and some servers send none.
        body = {"conversation_id": conversation_id}
        await self._transport.request("POST", "/api/v1/imessage/typing", None, body=body)

    async def upload_media(
        self, *, content: bytes, filename: str, content_type: str | None = None
    ) -> IMessageMediaUpload:
        """Upload a file to send.

        Args:
            content: The file, at most 10 MiB (10,485,760 bytes).
            filename: Its name.
            content_type: Its MIME type. Left out, `application/octet-stream`.

        Returns:
            The upload; its `media_url` goes into `media_urls` of `send`.

        Raises:
            ValueError: The file is empty or too large, or its name or type cannot be sent. Nothing was sent.
            InkboxAPIError: 413 or 422, the server does not take the file.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/imessage/media`.
        """
        if not content:
            raise ValueError("the file is empty")
        if len(content) > MAX_MEDIA_BYTES:
            raise ValueError(f"a file has at most {MAX_MEDIA_BYTES:,} bytes, this one has {len(content):,}")
        boundary = uuid4().hex
        return await self._transport.request(
            "POST",
            "/api/v1/imessage/media",
            IMessageMediaUpload,
            headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
            data=_form(boundary, content, filename, content_type or "application/octet-stream"),
        )


def _form(boundary: str, content: bytes, filename: str, content_type: str) -> bytes:
    """A form with one file (RFC 7578); its name is percent-encoded where it would end the header."""
    if not filename:
        raise ValueError("filename is empty")
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise ValueError(f"{content_type!r} is not a MIME type such as image/png")
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
        f'filename="{filename.translate(_IN_QUOTES)}"\r\nContent-Type: {content_type}\r\n\r\n'
    )
    return b"".join((head.encode(), content, f"\r\n--{boundary}--\r\n".encode()))


class IMessageContactRulesResource(generated.IMessageContactRulesResource):
    """Who gets through to an identity over iMessage."""

    list = checked(check_rule_direction)(generated.IMessageContactRulesResource.list)
    list_all = checked(check_rule_direction)(generated.IMessageContactRulesResource.list_all)
    create = checked(check_rule_direction)(generated.IMessageContactRulesResource.create)
    update = checked(check_rule_update)(generated.IMessageContactRulesResource.update)
