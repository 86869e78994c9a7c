"""Links to stored files that work without a key until they expire: signed, and bound to one file."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from .handling import Answer, ApiError, Call
from .store import Tx

LINK_LIFE = timedelta(minutes=15)

_SECRET = "link_secret"


def temporary_link(
    tx: Tx,
    now: datetime,
    base_url: str,
    area: str,
    file_id: str,
    filename: str,
    life: timedelta = LINK_LIFE,
) -> str:
    """An address under which one file can be fetched for a while: `/files/{area}/...`.

    The area serves `/files/{area}/{file_id}/{expires}/{signature}/{filename}`, and begins with `linked_file`.

    Args:
        tx: The transaction.
        now: The sandbox's present.
        base_url: Address of the sandbox.
        area: Whose file it is, such as `mail`.
        file_id: Id of the file in that area.
        filename: Name that the file is downloaded under.
        life: How long the link works.
    """
    expires = int((now + life).timestamp())
    signature = _signature(tx, area, file_id, expires)
    return f"{base_url}/files/{area}/{file_id}/{expires}/{signature}/{quote(filename, safe='')}"


def linked_file(call: Call, area: str) -> str:
    """Id of the file that a requested link leads to.

    Raises:
        ApiError: 403 for a link that was not made here, or that has expired.
    """
    return _checked(
        call.tx, call.now, area, call.path["file_id"], call.path["expires"], call.path["signature"]
    )


def file_behind(tx: Tx, now: datetime, base_url: str, area: str, url: str) -> str | None:
    """Id of the file that an address leads to; None for addresses elsewhere.

    Raises:
        ApiError: 403 for a link into the area that was not made here, or that has expired.
    """
    prefix = f"{base_url}/files/{area}/"
    if not url.startswith(prefix):
        return None
    file_id, expires, signature, *_ = [*url.removeprefix(prefix).split("/"), "", "", ""]
    return _checked(tx, now, area, file_id, expires, signature)


def file_answer(content: bytes, content_type: str, filename: str) -> Answer:
    """A file as a download, which no browser may take for a page of the sandbox."""
    disposition = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
    headers = {
        "Content-Disposition": disposition,
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    return Answer(content, content_type=content_type, headers=headers)


def _checked(tx: Tx, now: datetime, area: str, file_id: str, expires: str, signature: str) -> str:
    is_number = expires.isascii() and expires.isdigit() and len(expires) < 12
    if not is_number or not hmac.compare_digest(
        _signature(tx, area, file_id, int(expires)).encode(), signature.encode()
    ):
        raise ApiError(403, "This link is not one of the sandbox's.")
    if now >= datetime.fromtimestamp(int(expires), UTC):
        raise ApiError(403, "This link has expired. Ask for a new one.")
    return file_id


def _signature(tx: Tx, area: str, file_id: str, expires: int) -> str:
    secret: str | None = tx.value("SELECT value FROM meta WHERE name = ?", _SECRET)
    if secret is None:
        secret = secrets.token_hex(32)
        tx.insert("meta", name=_SECRET, value=secret)
    text = f"{area}:{file_id}:{expires}".encode()
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
