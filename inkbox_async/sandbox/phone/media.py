"""Files of texts: where they come from, how they are kept, and the temporary links to them."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from posixpath import basename
from urllib.parse import unquote, unquote_to_bytes, urlsplit
from uuid import uuid4

import aiohttp

from inkbox_async.sandbox.handling import Answer, Call, invalid, not_found, serves
from inkbox_async.sandbox.phone.rows import MEDIA_AREA
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.store import Tx
from inkbox_async.sandbox.temporary_links import file_answer, linked_file
from inkbox_async.sandbox.webhooks.destinations import refusal
from inkbox_async.sandbox.webhooks.posting import reason_of
from inkbox_async.secrecy import public_url

MAX_BYTES = 10 * 1024 * 1024
MAX_FILES = 10
TIMEOUT = 10.0
"""Seconds until a file must be there: real ones, for whoever serves it works in real time."""

_UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class File:
    """A file and where it came from. `content` is None until it is fetched."""

    url: str
    filename: str
    content_type: str
    content: bytes | None = field(repr=False)


_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 8.3.1


class Unreachable(Exception):
    """A file could not be fetched. The message says why."""


def stand_in(url: str) -> File:
    """What is kept for a file that is not on this machine: its address."""
    filename = basename(unquote(urlsplit(url).path)) or "file"
    content_type = mimetypes.guess_type(filename)[0] or _UNKNOWN_TYPE
    return File(url, filename, content_type, f"The sandbox does not fetch {url}\n".encode())


def check_urls(urls: Sequence[str], schemes: Sequence[str] = ("http", "https")) -> None:
    """422 unless all can be addresses of files, or there are too many."""
    if len(urls) > MAX_FILES:
        raise invalid(f"An MMS has at most {MAX_FILES} files", "body", "media_urls")
    for index, url in enumerate(urls):
        try:
            parts = urlsplit(url)
            is_complete = bool(parts.hostname) or parts.scheme == "data"
            is_address = parts.scheme in schemes and is_complete and not any(map(str.isspace, url))
        except ValueError:
            is_address = False
        if not is_address:
            raise invalid("Give an http:// or https:// address", "body", "media_urls", index)


def awaited(url: str) -> File:
    """A file that is still to be fetched."""
    return replace(stand_in(url), content=None)


async def fetch(session: aiohttp.ClientSession, settings: Settings, url: str) -> File:
    """A file from this machine or from a `data:` address (RFC 2397); of other machines, a stand-in.

    Raises:
        Unreachable: It cannot be had, or is larger than 10 MiB.
    """
    if url.startswith("data:"):
        return _from_data_url(url)
    if refusal(url, settings) is not None:
        return stand_in(url)
    try:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with session.get(url, allow_redirects=False, timeout=timeout) as response:
            if response.status != 200:
                raise Unreachable(f"{public_url(url)} answered {response.status}")
            content = b""
            async for piece in response.content.iter_any():
                content += piece
                if len(content) > MAX_BYTES:
                    raise Unreachable(f"{public_url(url)} is larger than 10 MiB")
            guess = stand_in(url)
            told = response.content_type if "Content-Type" in response.headers else guess.content_type
            return File(url, guess.filename, told, content)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise Unreachable(f"{public_url(url)} cannot be fetched: {reason_of(error)}") from error


def keep(tx: Tx, text_id: str, files: Sequence[File]) -> None:
    """Store the files of a text."""
    for position, file in enumerate(files):
        tx.insert(
            "text_media",
            id=uuid4(),
            text_id=text_id,
            position=position,
            url=file.url,
            filename=file.filename,
            content_type=file.content_type,
            content=file.content,
        )


def files_of(tx: Tx, text_id: str) -> list[File]:
    """The files of a text."""
    rows = tx.all("SELECT * FROM text_media WHERE text_id = ? ORDER BY position", text_id)
    return [File(row["url"], row["filename"], row["content_type"], row["content"]) for row in rows]


@serves("GET", f"/files/{MEDIA_AREA}/{{file_id}}/{{expires}}/{{signature}}/{{filename}}")
def download(call: Call) -> Answer:
    """The content behind a link, until the link expires."""
    row = call.tx.one("SELECT * FROM text_media WHERE id = ?", linked_file(call, MEDIA_AREA))
    if row is None:
        raise not_found("File")
    return file_answer(row["content"] or b"", row["content_type"], row["filename"])


def _from_data_url(url: str) -> File:
    head, comma, data = url.removeprefix("data:").partition(",")
    content_type = head.removesuffix(";base64").partition(";")[0] or "text/plain"
    if not comma:
        raise Unreachable("A data: address needs a comma before its data")
    if not _MEDIA_TYPE.fullmatch(content_type):
        raise Unreachable("The data: address begins with no media type")
    try:
        content = unquote_to_bytes(data)
        content = base64.b64decode(content, validate=True) if head.endswith(";base64") else content
    except (binascii.Error, ValueError):
        raise Unreachable("The data: address is not standard base64") from None
    if len(content) > MAX_BYTES:
        raise Unreachable("The data: address is larger than 10 MiB")
    extension = mimetypes.guess_extension(content_type) or ""
    return File(f"data:{content_type}", f"file{extension}", content_type, content)
