"""From an error response to the exception that says it; what every exception shows and keeps to itself."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from inkbox_async import errors
from inkbox_async.error_mapping import (
    LONGEST_TEXT,
    api_error,
    as_handle_unavailable,
    handle_conflicts,
)
from inkbox_async.errors import (
    DedicatedIMessageNumberInventoryPendingError,
    DedicatedIMessageNumberQuotaExceededError,
    DuplicateContactRuleError,
    HandleUnavailableError,
    IdempotencyKeyReusedError,
    InkboxAPIError,
    InkboxConnectionError,
    InkboxError,
    InkboxResponseError,
    InkboxTimeoutError,
    MailImportQuotaExceededError,
    RecipientBlockedError,
    RedundantContactAccessGrantError,
    StorageLimitExceededError,
    get_message_request_key,
)
from inkbox_async.secrecy import public_path

RULE = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


def error_for(
    status: int, body: object, headers: dict[str, str] | None = None, path: str = "/api/v1/x"
) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return api_error(status, headers or {}, raw, method="POST", path=path)


@pytest.mark.parametrize(
    ("status", "detail", "expected", "attributes"),
    [
        (
            409,
            {"existing_rule_id": RULE, "message": "exists"},
            DuplicateContactRuleError,
            {"existing_rule_id": UUID(RULE)},
        ),
        (409, {"existing_rule_id": "no uuid"}, InkboxAPIError, {}),
        (409, {"existing_rule_id": None}, InkboxAPIError, {}),
        (422, {"existing_rule_id": RULE}, InkboxAPIError, {}),
        (
            409,
            {"error": "redundant_grant", "detail": "wildcard"},
            RedundantContactAccessGrantError,
            {"error": "redundant_grant", "detail_message": "wildcard"},
        ),
        (409, {"error": "redundant_grant"}, RedundantContactAccessGrantError, {"detail_message": ""}),
        (
            403,
            {"error": "recipient_blocked", "matched_rule_id": RULE, "address": "+1", "reason": "rule"},
            RecipientBlockedError,
            {"matched_rule_id": UUID(RULE), "address": "+1", "reason": "rule"},
        ),
        (
            403,
            {"error": "recipient_blocked", "matched_rule_id": None},
            RecipientBlockedError,
            {"matched_rule_id": None, "address": "", "reason": ""},
        ),
        (
            402,
            {
                "error": "storage_limit_exceeded",
                "message": "full",
                "upgrade_url": "https://u",
                "limit_bytes": 5,
            },
            StorageLimitExceededError,
            {"message": "full", "upgrade_url": "https://u", "limit_bytes": 5},
        ),
        (
            402,
            {"error": "storage_limit_exceeded"},
            StorageLimitExceededError,
            {"message": "", "upgrade_url": "", "limit_bytes": None},
        ),
        (402, "storage_limit_exceeded", InkboxAPIError, {}),
        (
            402,
            {
                "error": "dedicated_imessage_number_quota_exceeded",
                "limit": 1,
                "current": 2,
                "contact_email": "a@b",
            },
            DedicatedIMessageNumberQuotaExceededError,
            {"limit": 1, "current": 2, "contact_email": "a@b", "number_type": "", "upgrade_url": ""},
        ),
        (
            503,
            {"error": "dedicated_imessage_number_inventory_pending", "retry_after_seconds": 60},
            DedicatedIMessageNumberInventoryPendingError,
            {"retry_after_seconds": 60, "message": "", "number_type": ""},
        ),
        (
            409,
            {"error": "idempotency_key_reused", "message": "other request"},
            IdempotencyKeyReusedError,
            {"message": "other request"},
        ),
        (
            429,
            {"error": "mail_import_quota_exceeded", "retry_after_seconds": 90},
            MailImportQuotaExceededError,
            {"retry_after_seconds": 90},
        ),
        (409, {"error": "idempotency_in_progress"}, InkboxAPIError, {"code": "idempotency_in_progress"}),
        (409, {"code": "agent_handle_unavailable"}, InkboxAPIError, {"code": "agent_handle_unavailable"}),
        (400, {"error": "redundant_grant"}, InkboxAPIError, {"code": "redundant_grant"}),
        (404, "not found", InkboxAPIError, {"code": None}),
        (404, None, InkboxAPIError, {"detail": None}),
        (422, [{"loc": ["body", "to"], "msg": "required", "type": "missing"}], InkboxAPIError, {}),
    ],
)
def test_mapping(
    status: int, detail: Any, expected: type[InkboxAPIError], attributes: dict[str, object]
) -> None:
    error = error_for(status, {"detail": detail, "agent_support": "ask us"})

    assert type(error) is expected
    assert error.status_code == status
    assert error.detail == detail
    assert error.agent_support == "ask us"
    for name, value in attributes.items():
        assert getattr(error, name) == value, name


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
        (b"", ""),
        (b"[1, 2]", "[1, 2]"),
        (b'"text"', '"text"'),
        (b"null", "null"),
        (b'{"message": "no detail"}', '{"message": "no detail"}'),
        (b'{"detail": null}', None),
        (b'{"detail": 5}', 5),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 100_000, "[" * LONGEST_TEXT + "… (cut)"),
        ("é".encode() * 100_000, "é" * LONGEST_TEXT + "… (cut)"),
    ],
)
def test_bodies_without_a_detail_are_their_text(body: bytes, detail: object) -> None:
    error = error_for(500, body)

    assert type(error) is InkboxAPIError
    assert error.detail == detail
    str(error)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("-1", None),
        ("1.5", None),
        ("Fri, 31 Dec 2027 23:59:59 GMT", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("9" * 10_000, None),
    ],
)
def test_retry_after(header: str, seconds: int | None) -> None:
    assert error_for(429, {"detail": "slow"}, {"Retry-After": header}).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Fri, 31 Dec 2027 23:59:59 GMT", 59),
        ("Friday, 31-Dec-27 23:59:59 GMT", 59),
        ("Fri Dec 31 23:59:59 2027", 59),
        ("Fri, 31 Dec 2027 23:58:00 GMT", -60),
    ],
)
def test_a_date_to_retry_at_is_counted_from_the_servers_clock(header: str, seconds: int) -> None:
    headers = {"Retry-After": header, "Date": "Fri, 31 Dec 2027 23:59:00 GMT"}
    before = datetime.now(UTC)

    error = error_for(429, {"detail": "slow"}, headers)

    assert error.retry_after_seconds is None
    assert error.retry_at is not None
    assert before <= error.retry_at - timedelta(seconds=seconds) <= datetime.now(UTC)
    assert pickle.loads(pickle.dumps(error)).retry_at == error.retry_at
    assert "retry at" in str(error)


def test_a_date_to_retry_at_is_taken_as_it_is_without_a_date_of_the_server() -> None:
    error = error_for(429, {"detail": "slow"}, {"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"})

    assert error.retry_at is not None
    assert round(error.retry_at.timestamp()) == round(
        datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    )


@pytest.mark.parametrize(
    "header", ["7", "soon", "", "Fri, 99 Dec 2027 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"]
)
def test_what_is_no_date_to_retry_at(header: str) -> None:
    headers = {"Retry-After": header, "Date": "Mon, 01 Jan 0001 00:00:00 GMT"}

    assert error_for(429, {"detail": "slow"}, headers).retry_at is None


def test_the_header_wins_over_the_body() -> None:
    body = {"detail": {"error": "mail_import_quota_exceeded", "retry_after_seconds": 90}}

    assert error_for(429, body, {"Retry-After": "7"}).retry_after_seconds == 7


@pytest.mark.parametrize("support", ["", 5, None, {"a": 1}])
def test_agent_support_is_text_or_nothing(support: object) -> None:
    assert error_for(404, {"detail": "x", "agent_support": support}).agent_support is None


def test_the_message_says_what_where_and_when() -> None:
    error = error_for(
        429, {"detail": {"error": "busy", "message": "Too fast"}}, {"Retry-After": "7", "X-Request-ID": "r1"}
    )

    assert str(error) == "HTTP 429: Too fast [busy] (POST /api/v1/x); retry after 7 s; request id r1"
    assert repr(error) == f"<InkboxAPIError {error}>"
    assert (error.request_id, error.method, error.path) == ("r1", "POST", "/api/v1/x")


@pytest.mark.parametrize(
    ("detail", "text"),
    [
        ("plain", "plain"),
        ({"error": "e", "message": "m", "detail": "d"}, "m [e]"),
        ({"error": "e", "detail": "d"}, "d [e]"),
        ({"code": "c", "reason": "r"}, "r [c]"),
        ({"code": "c"}, "c"),
        ({"message": "m"}, "m"),
        ({"other": 1}, '{"other": 1}'),
        (None, "the server gave no detail"),
        ("", "the server gave no detail"),
        (5, "5"),
        ("<html>\n  <b>Bad Gateway</b>\n</html>\n", "<html> <b>Bad Gateway</b> </html>"),
        ("x" * 2000, "x" * 500 + "…"),
        (
            [{"loc": "body", "msg": "odd place"}, {"loc": 5}, {"loc": None, "msg": None}],
            "odd place; invalid; None",
        ),
        ([], "invalid request"),
        (
            [{"loc": ["body", "to", 0], "msg": "bad address", "input": "secret"}, {"msg": "also bad"}, "odd"],
            "body.to.0: bad address; also bad; odd",
        ),
    ],
)
def test_details_read_as_one_line(detail: Any, text: str) -> None:
    assert str(InkboxAPIError(422, detail)) == f"HTTP 422: {text}"


def test_inputs_echoed_by_the_server_are_not_shown() -> None:
    error = error_for(422, {"detail": [{"loc": ["body"], "msg": "wrong", "input": "secret"}]})

    assert error.detail[0]["input"] == "secret"
    assert "secret" not in f"{error} {error!r}"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/api/v1/x?auth_hash=secret", "/api/v1/x"),
        (f"/api/v1/vault/keys/{'0a' * 32}", "/api/v1/vault/keys/[redacted]"),
        (f"/api/v1/vault/keys/{'0A' * 32}/x", "/api/v1/vault/keys/[redacted]/x"),
        ("/api/v1/a2a/invitations/a2ai_secret", "/api/v1/a2a/invitations/[redacted]"),
        (f"/api/v1/messages/{RULE}", f"/api/v1/messages/{RULE}"),
    ],
)
def test_paths_are_shown_without_secrets(path: str, shown: str) -> None:
    assert public_path(path) == shown
    assert error_for(404, {}, path=path).path == shown


@pytest.mark.parametrize(
    ("detail", "namespace"),
    [
        ({"code": "agent_handle_unavailable", "message": "m", "blocking_namespace": "tunnels"}, "tunnels"),
        ({"error": "agent_handle_unavailable"}, None),
        ({"error": "agent_handle_unavailable", "blocking_namespace": "unheard of"}, None),
        ({"blocking_namespace": "mail"}, "mail"),
        ("Handle is UNAVAILABLE", None),
        ("This handle already exists", None),
    ],
)
def test_a_taken_handle(detail: Any, namespace: str | None) -> None:
    original = InkboxAPIError(
        409, detail, retry_after=3, agent_support="ask", request_id="r", method="POST", path="/p"
    )
    original.idempotency_key = "k"

    with pytest.raises(HandleUnavailableError) as caught, handle_conflicts():
        raise original

    error = caught.value
    assert error.blocking_namespace == namespace
    assert error.__cause__ is original
    assert error.detail == detail
    assert (error.status_code, error.retry_after_seconds, error.agent_support) == (409, 3, "ask")
    assert (error.request_id, error.method, error.path, error.idempotency_key) == ("r", "POST", "/p", "k")


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (409, {"error": "line_already_attached"}),
        (409, {"error": "idempotency_key_reused", "message": "handle already"}),
        (409, "already granted"),
        (409, "handle"),
        (409, None),
        (409, ["handle already"]),
        (422, {"code": "agent_handle_unavailable"}),
        (404, "handle already gone"),
    ],
)
def test_other_conflicts_stay_what_they_are(status: int, detail: Any) -> None:
    original = error_for(status, {"detail": detail})

    assert as_handle_unavailable(original) is None
    with pytest.raises(InkboxAPIError) as caught, handle_conflicts():
        raise original
    assert caught.value is original


def all_errors() -> list[type[InkboxError]]:
    found = [
        value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, InkboxError)
    ]
    assert len(found) > 20
    return found


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    tree: dict[str, str] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        words = line.lstrip("│├└─ ").split()
        if not words or words[0] not in vars(errors):
            continue
        depth = (len(line) - len(line.lstrip("│├└─ "))) // 4
        branch[depth:] = [words[0]]
        tree[words[0]] = branch[depth - 1] if depth else "Exception"

    assert tree == {cls.__name__: cls.__bases__[0].__name__ for cls in all_errors()}


@pytest.mark.parametrize(
    "error",
    [
        error_for(409, {"detail": {"existing_rule_id": RULE}}, {"Retry-After": "5"}),
        error_for(422, {"detail": [{"loc": [], "msg": "m"}]}),
        HandleUnavailableError(409, "taken", "mail", request_id="r"),
        InkboxConnectionError("broken", sent=False),
        InkboxTimeoutError("late"),
        InkboxResponseError("odd", malformed=True),
    ],
)
def test_errors_survive_pickling_and_copying(error: InkboxError) -> None:
    error.idempotency_key = "k"

    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert twin.__dict__ == error.__dict__


def test_the_key_of_a_failed_send() -> None:
    error = InkboxAPIError(503, None)
    assert get_message_request_key(error) is None
    error.idempotency_key = "k"

    assert get_message_request_key(error) == "k"
    assert get_message_request_key(ValueError()) is None


def test_time_outs_can_be_caught_as_the_built_in_error() -> None:
    assert issubclass(InkboxTimeoutError, TimeoutError)
    assert issubclass(InkboxTimeoutError, InkboxConnectionError)
