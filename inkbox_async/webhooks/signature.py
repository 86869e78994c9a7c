"""Signatures of webhooks and call WebSockets: HMAC-SHA256 over `{request_id}.{timestamp}.{body}`.

Pure functions, without I/O. The same code signs in the sandbox and checks in a receiver.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from ..secrecy import hiding

SIGNATURE_HEADER = "X-Inkbox-Signature"
REQUEST_ID_HEADER = "X-Inkbox-Request-ID"
TIMESTAMP_HEADER = "X-Inkbox-Timestamp"
SIGNATURE_PREFIX = "sha256="
SECRET_PREFIX = "whsec_"


@hiding
def sign_webhook(*, payload: bytes, request_id: str, timestamp: str, secret: str) -> str:
    """The value of `X-Inkbox-Signature` for one delivery.

    Args:
        payload: The raw body; for a WebSocket upgrade, the bytes of the `X-Call-Context` header.
        request_id: Value of `X-Inkbox-Request-ID`.
        timestamp: Value of `X-Inkbox-Timestamp`: Unix time in whole seconds, as decimal text.
        secret: The signing key, with or without its prefix `whsec_`.

    Returns:
        `sha256=` and 64 lower-case hexadecimal digits.
    """
    key = _bytes(secret.removeprefix(SECRET_PREFIX))
    digest = hmac.new(key, _bytes(f"{request_id}.{timestamp}."), hashlib.sha256)
    digest.update(payload)
    return SIGNATURE_PREFIX + digest.hexdigest()


@hiding
def signed_headers(*, payload: bytes, request_id: str, timestamp: int, secret: str | None) -> dict[str, str]:
    """The `X-Inkbox-*` headers of one delivery or WebSocket upgrade.

    Args:
        payload: As for `sign_webhook`.
        request_id: A fresh id of this attempt.
        timestamp: The moment of sending as Unix time in whole seconds.
        secret: The signing key; None leaves the signature out, as for an owner without a key.

    Returns:
        Request id and timestamp, and with a secret the signature.
    """
    headers = {REQUEST_ID_HEADER: request_id, TIMESTAMP_HEADER: str(timestamp)}
    if secret is not None:
        headers[SIGNATURE_HEADER] = sign_webhook(
            payload=payload, request_id=request_id, timestamp=str(timestamp), secret=secret
        )
    return headers


@hiding
def verify_webhook(*, payload: bytes, headers: Mapping[str, str], secret: str) -> bool:
    """Whether a request really comes from Inkbox and its body was not changed on the way.

        if not verify_webhook(payload=raw_body, headers=request.headers, secret="whsec_..."):
            raise HTTPException(status_code=403)

    It says nothing about age: a recorded request verifies for ever. Receivers for which that matters refuse
    old values of `X-Inkbox-Timestamp` (`inkbox_async.webhooks.fastapi` does so when asked to) or remember
    event ids.

    Args:
        payload: The raw body as it was received (`bytes`, `bytearray` or `memoryview`), before any parsing.
        headers: The request's headers, names in any case: a dict or the headers of any framework.
        secret: The signing key, with or without its prefix `whsec_`.

    Returns:
        True when the signature fits. False for a missing, malformed or wrong one.

    Raises:
        TypeError: `payload` is text, which has lost its original bytes, or `secret` is not text.
    """
    if not isinstance(secret, str):
        raise TypeError("secret must be a str: the signing key as create_signing_key() returned it")
    if not isinstance(payload, (bytes, bytearray, memoryview)):
        raise TypeError("payload must be the raw body as bytes, not parsed or decoded")
    texts = {k.lower(): v for k, v in headers.items() if isinstance(k, str) and isinstance(v, str)}
    given = texts.get(SIGNATURE_HEADER.lower(), "")
    expected = sign_webhook(
        payload=bytes(payload),
        request_id=texts.get(REQUEST_ID_HEADER.lower(), ""),
        timestamp=texts.get(TIMESTAMP_HEADER.lower(), ""),
        secret=secret,
    )
    return hmac.compare_digest(_bytes(given), _bytes(expected))


def _bytes(value: str) -> bytes:
    """UTF-8 of any text: a stranger's headers may hold what was never proper Unicode, and must not raise."""
    return value.encode("utf-8", "surrogatepass")
