"""Files of iMessages: uploads, the links to them, and what a message may carry."""

from __future__ import annotations

import json
import mimetypes
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from inkbox_async.generated.models.imessage import IMessageMediaItem, IMessageMediaUpload
from inkbox_async.sandbox.handling import Answer, ApiError, Call, handles, invalid, not_found, serves
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.store import Tx
from inkbox_async.sandbox.temporary_links import file_answer, file_behind, linked_file, temporary_link

MAX_BYTES = 10 * 1024 * 1024
UPLOAD_LINK_LIFE = timedelta(hours=24)
"""How long the address of an upload works; messages show fresh ones."""

_AREA = "imessage"


@handles("imessages.upload_media")
def upload_media(call: Call) -> IMessageMediaUpload:
    """Store a file."""
    file = call.files.get("file")
    if file is None or call.form or len(call.files) > 1:
        raise invalid("Send one file, as the form field 'file' with a filename", "body", "file")
    if not file.content:
        raise invalid("The file is empty", "body", "file")
    if len(file.content) > MAX_BYTES:
        raise ApiError(413, "A file has at most 10 MiB.")
    media_id = str(uuid4())
    call.tx.insert(
        "imessage_media",
        id=media_id,
        organization_id=call.caller.organization_id,
        filename=file.filename,
        content_type=file.content_type,
        content=file.content,
        created_at=call.now,
    )
    url = temporary_link(
        call.tx, call.now, call.settings.base_url, _AREA, media_id, file.filename, UPLOAD_LINK_LIFE
    )
    return IMessageMediaUpload(media_url=url, content_type=file.content_type, size=len(file.content))


@serves("GET", "/files/imessage/{file_id}/{expires}/{signature}/{filename}")
def download(call: Call) -> Answer:
    """The file behind a link, until the link expires."""
    row = call.tx.one("SELECT * FROM imessage_media WHERE id = ?", linked_file(call, _AREA))
    if row is None:
        raise not_found("File")
    return file_answer(row["content"], row["content_type"], row["filename"])


def accepted(
    tx: Tx, now: datetime, settings: Settings, organization_id: str, url: str
) -> dict[str, Any]:  # Any: JSON values
    """What is stored of a file that a message carries: the upload it is, or its address as it was given.

    Raises:
        ApiError: 422 when it is neither an upload of the organization nor an http(s) address.
    """
    where = ("body", "media_urls", 0)
    try:
        media_id = file_behind(tx, now, settings.base_url, _AREA, url)
    except ApiError as error:
        raise invalid(f"{error.detail} Upload the file again.", *where) from None
    if media_id is not None:
        owner = tx.value("SELECT organization_id FROM imessage_media WHERE id = ?", media_id)
        if owner != organization_id:
            raise invalid("This file belongs to somebody else", *where)
        return {"media_id": media_id}
    if not _is_web_address(url):
        raise invalid("Give an http:// or https:// address", *where)
    return {"url": url, "content_type": mimetypes.guess_type(urlsplit(url).path)[0], "size": None}


def shown(tx: Tx, now: datetime, settings: Settings, stored: str) -> list[IMessageMediaItem]:
    """The files of a message with addresses that work."""
    items = []
    for item in json.loads(stored):
        if "media_id" in item:
            row = tx.one(
                "SELECT id, filename, content_type, length(content) AS size FROM imessage_media WHERE id = ?",
                item["media_id"],
            )
            assert row is not None
            url = temporary_link(tx, now, settings.base_url, _AREA, row["id"], row["filename"])
            items.append(IMessageMediaItem(url=url, content_type=row["content_type"], size=row["size"]))
        else:
            items.append(IMessageMediaItem(**item))
    return items


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not any(map(str.isspace, url))
