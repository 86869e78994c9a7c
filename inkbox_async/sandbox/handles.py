"""Agent handles: what they look like, and whether one is still to be had."""

from __future__ import annotations

import re

from .handling import ApiError, invalid
from .settings import PLATFORM_DOMAIN
from .store import Tx

MIN_LENGTH = 3
MAX_LENGTH = 63
RESERVED = frozenset(
    {
        "abuse",
        "admin",
        "administrator",
        "api",
        "console",
        "edge",
        "hostmaster",
        "inkbox",
        "localhost",
        "mailer-daemon",
        "no-reply",
        "noreply",
        "postmaster",
        "root",
        "security",
        "self",
        "webmaster",
        "www",
    }
)
"""Names nobody gets: those of roles (RFC 2142), of the service itself, and of paths beside handles."""

_HANDLE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def normalise_handle(text: str) -> str:
    """A handle as it is stored and compared: without one leading `@`, in lower case."""
    return text.removeprefix("@").lower()


def parse_handle(text: str, field: str = "agent_handle") -> str:
    """A wanted handle, normalised.

    Raises:
        ApiError: 422 when it is not one.
    """
    handle = normalise_handle(text)
    if not MIN_LENGTH <= len(handle) <= MAX_LENGTH or not _HANDLE.fullmatch(handle):
        raise invalid(
            f"A handle has {MIN_LENGTH} to {MAX_LENGTH} lower-case letters, digits and single hyphens, "
            "and begins and ends with a letter or digit",
            "body",
            field,
        )
    return handle


def require_free(tx: Tx, handle: str, *, except_for: str | None = None) -> None:
    """Make sure that a handle is free for an identity: as handle, tunnel name and platform address.

    Args:
        tx: The transaction.
        handle: The wanted handle, normalised.
        except_for: Id of an identity whose own names do not count.

    Raises:
        ApiError: 409 `agent_handle_unavailable`.
    """
    if handle in RESERVED:
        raise handle_unavailable(f"The handle {handle!r} is reserved.", None)
    taken = {
        "identities": tx.one(
            "SELECT 1 FROM identities WHERE agent_handle = ? AND status <> 'deleted' AND id IS NOT ?",
            handle,
            except_for,
        ),
        "tunnels": tx.one(
            "SELECT 1 FROM tunnels WHERE tunnel_name = ? AND status <> 'deleted' AND identity_id IS NOT ?",
            handle,
            except_for,
        ),
        "mail": tx.one(
            "SELECT 1 FROM mailboxes WHERE email_address = ? AND status <> 'deleted' "
            "AND identity_id IS NOT ?",
            f"{handle}@{PLATFORM_DOMAIN}",
            except_for,
        ),
    }
    for namespace, row in taken.items():
        if row is not None:
            raise handle_unavailable(f"The handle {handle!r} is taken.", namespace)


def handle_unavailable(message: str, namespace: str | None) -> ApiError:
    """409 in the documented shape; the namespace is left out where there is none."""
    detail = {"code": "agent_handle_unavailable", "message": message}
    if namespace is not None:
        detail["blocking_namespace"] = namespace
    return ApiError(409, detail)
