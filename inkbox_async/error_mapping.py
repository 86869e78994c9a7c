"""From what came back, or failed to, to the exception that says it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, get_args

import aiohttp

from .errors import (
    BlockingNamespace,
    DedicatedIMessageNumberInventoryPendingError,
    DedicatedIMessageNumberQuotaExceededError,
    Detail,
    DuplicateContactRuleError,
    HandleUnavailableError,
    IdempotencyKeyReusedError,
    InkboxAPIError,
    InkboxConnectionError,
    InkboxResponseError,
    InkboxTimeoutError,
    MailImportQuotaExceededError,
    RecipientBlockedError,
    RedundantContactAccessGrantError,
    StorageLimitExceededError,
    detail_code,
)
from .retry import SAFE_METHODS
from .secrecy import public_path, shown_detail, without_recognisable

if TYPE_CHECKING:
    from pydantic import ValidationError

LONGEST_TEXT = 2000
"""Characters kept of an error body that is not the documented object."""

HANDLE_TAKEN = "agent_handle_unavailable"
BY_STATUS_AND_CODE: Mapping[tuple[int, str], type[InkboxAPIError]] = {
    (409, "redundant_grant"): RedundantContactAccessGrantError,
    (403, "recipient_blocked"): RecipientBlockedError,
    (402, "storage_limit_exceeded"): StorageLimitExceededError,
    (402, "dedicated_imessage_number_quota_exceeded"): DedicatedIMessageNumberQuotaExceededError,
    (503, "dedicated_imessage_number_inventory_pending"): DedicatedIMessageNumberInventoryPendingError,
    (409, "idempotency_key_reused"): IdempotencyKeyReusedError,
    (429, "mail_import_quota_exceeded"): MailImportQuotaExceededError,
}


def api_error(
    status: int, headers: Mapping[str, str], body: bytes, *, method: str, path: str
) -> InkboxAPIError:
    """The exception for a response with an error status."""
    detail, agent_support = _read_error(body)
    error = _specific_error(
        status,
        detail,
        retry_after=retry_after_seconds(headers),
        agent_support=agent_support,
        request_id=headers.get("X-Request-ID"),
        method=method,
        path=public_path(path),
    )
    error.retry_at = retry_at(headers)
    return error


def _specific_error(status: int, detail: Detail, **about: Any) -> InkboxAPIError:  # Any: of different types
    if isinstance(detail, dict):
        if status == 409 and "existing_rule_id" in detail:
            try:
                return DuplicateContactRuleError(status, detail, **about)
            except ValueError:
                return InkboxAPIError(status, detail, **about)
        specific = BY_STATUS_AND_CODE.get((status, detail_code(detail) or ""))
        if specific is not None:
            return specific(status, detail, **about)
    return InkboxAPIError(status, detail, **about)


def _read_error(body: bytes) -> tuple[Detail, str | None]:
    """The `detail` and `agent_support` of an error body; the body's text when it has no detail."""
    from pydantic_core import from_json

    try:
        content = from_json(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return _body_text(body), None
    support = content.get("agent_support")
    detail = shown_detail(content["detail"]) if "detail" in content else _body_text(body)
    return detail, support if isinstance(support, str) and support else None


def _body_text(body: bytes) -> str:
    text = without_recognisable(body[: 4 * LONGEST_TEXT].decode("utf-8", "replace"))
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… (cut)"


def retry_after_seconds(headers: Mapping[str, str]) -> int | None:
    """`Retry-After` in seconds; None when it is missing, a date, negative or absurd."""
    text = headers.get("Retry-After", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def retry_at(headers: Mapping[str, str]) -> datetime | None:
    """`Retry-After` as a date (RFC 9110, 10.2.3), on this machine's clock; None when it is none.

    It is counted from the server's own `Date`, so that the two clocks need not agree.
    """
    until = _http_date(headers.get("Retry-After", ""))
    if until is None:
        return None
    now = datetime.now(UTC)
    try:
        return now + (until - (_http_date(headers.get("Date", "")) or now))
    except OverflowError:
        return None  # past the year 9999


def _http_date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def redirect_error(
    status: int, headers: Mapping[str, str], reason: str, *, method: str, path: str
) -> InkboxAPIError:
    """The exception for a redirect that is not followed."""
    return InkboxAPIError(
        status, reason, request_id=headers.get("X-Request-ID"), method=method, path=public_path(path)
    )


def as_handle_unavailable(error: InkboxAPIError) -> HandleUnavailableError | None:
    """A conflict of an identity's create or update as `HandleUnavailableError`; None for other conflicts."""
    if error.status_code != 409:
        return None
    detail = error.detail
    namespace: str | None = None
    if isinstance(detail, dict):
        value = detail.get("blocking_namespace")
        namespace = value if value in get_args(BlockingNamespace) else None
        taken = namespace is not None or HANDLE_TAKEN in (detail.get("code"), detail.get("error"))
    else:
        text = detail.lower() if isinstance(detail, str) else ""
        taken = "handle" in text and ("unavailable" in text or "already" in text)
    if not taken:
        return None
    unavailable = HandleUnavailableError(
        error.status_code,
        detail,
        namespace,
        retry_after=error.retry_after_seconds,
        agent_support=error.agent_support,
        request_id=error.request_id,
        method=error.method,
        path=error.path,
    )
    unavailable.retry_at = error.retry_at
    return unavailable


@contextmanager
def handle_conflicts() -> Iterator[None]:
    """Around the create or update of an identity: a taken handle is raised as `HandleUnavailableError`."""
    try:
        yield
    except InkboxAPIError as error:
        unavailable = as_handle_unavailable(error)
        if unavailable is None:
            raise
        unavailable.idempotency_key = error.idempotency_key
        raise unavailable from error


def response_error(error: ValidationError, *, method: str, path: str, size: int) -> InkboxResponseError:
    """The exception for a success whose body does not fit: the fields at fault, never their values."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    malformed = any(problem["type"] == "json_invalid" for problem in problems)
    where = f"{method} {public_path(path)}"
    if malformed:
        body = "an empty body" if size == 0 else f"{size} bytes that are not JSON"
        text = f"{where} answered with {body}; is base_url the address of an Inkbox API?"
    else:
        # The message of a problem may quote the value, its type cannot.
        fields = [f"{'.'.join(map(str, p['loc'])) or 'body'} ({p['type']})" for p in problems[:5]]
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        text = f"{where} answered with an unexpected body: {', '.join(fields)}{more}"
    return InkboxResponseError(text, malformed=malformed)


def connection_error(
    error: BaseException, *, method: str, path: str, origin: str, timeout: float | None
) -> tuple[InkboxConnectionError, BaseException | None]:
    """The exception for a failure of the connection, and the cause to chain to it.

    The cause is left out where its text or repr would show headers, cookies, the query or a proxy's password.
    """
    where = f"{method} {public_path(path)}"
    outcome = "" if method in SAFE_METHODS else "; the request may have been carried out"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        text = (
            f"{where}: no connection to {origin} within {timeout} s; check the network and the proxy settings"
        )
        return InkboxTimeoutError(text, sent=False), None
    if isinstance(error, TimeoutError):
        text = f"{where}: {origin} did not answer within {timeout} s; raise `timeout` if that is expected"
        return InkboxTimeoutError(text + outcome, sent=True), error
    if isinstance(error, aiohttp.ClientConnectorError):
        return _set_up_error(error, where, origin)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        text = f"{where}: the proxy refused a way to {origin} (HTTP {error.status}); check its settings"
        return InkboxConnectionError(text, sent=False), None
    if isinstance(error, aiohttp.ClientResponseError):
        return InkboxConnectionError(f"{where}: {origin} sent something that is not HTTP{outcome}"), None
    if isinstance(error, aiohttp.ClientPayloadError):
        text = f"{where}: the connection to {origin} broke in the middle of the answer"
    else:
        text = f"{where}: the connection to {origin} broke before an answer came"
    return InkboxConnectionError(text + outcome), error


def _set_up_error(
    error: aiohttp.ClientConnectorError, where: str, origin: str
) -> tuple[InkboxConnectionError, BaseException | None]:
    cause: BaseException | None
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    else:
        cause = error.os_error
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        text = f"{where}: cannot reach the proxy for {origin}; check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY"
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        text = f"{where}: cannot resolve the host of {origin}; check base_url and the network"
    elif isinstance(cause, ssl.SSLError):
        text = f"{where}: no trusted TLS connection to {origin}; for a private CA set SSL_CERT_FILE"
    else:
        text = f"{where}: cannot connect to {origin}; check base_url, and that the server is running"
    return InkboxConnectionError(text, sent=False), cause
