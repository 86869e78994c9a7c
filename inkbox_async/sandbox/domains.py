"""Custom sending domains: listed over the API, registered through the control API as the console would."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row
from uuid import uuid4

from inkbox_async.generated.models.identities import Domain, SetDefaultDomainResult
from inkbox_async.generated.queries.identities import DomainsListQuery

from .handling import ApiError, Call, handles, not_found
from .settings import PLATFORM_DOMAIN
from .store import Tx


@handles("domains.list")
def list_domains(call: Call) -> list[Domain]:
    """The organization's domains, newest first."""
    query: DomainsListQuery = call.query
    rows = call.tx.all(
        "SELECT * FROM sending_domains WHERE organization_id = ? AND (? IS NULL OR status = ?) "
        "ORDER BY created_at DESC, id",
        call.caller.organization_id,
        query.status,
        query.status,
    )
    default = default_domain(call.tx, call.caller.organization_id)
    return [show_domain(row, default) for row in rows]


@handles("domains.set_default")
def set_default(call: Call) -> SetDefaultDomainResult:
    """Let new mailboxes be at a verified domain, or at the platform's again."""
    name = call.path["domain_name"].lower()
    if name == PLATFORM_DOMAIN:
        chosen = None
    else:
        if domain_row(call.tx, call.caller.organization_id, name) is None:
            raise not_found("Sending domain")
        require_verified(call.tx, call.caller.organization_id, name)
        chosen = name
    call.tx.update("organizations", call.caller.organization_id, default_domain=chosen)
    return SetDefaultDomainResult(default_domain=chosen)


def default_domain(tx: Tx, organization_id: str) -> str | None:
    """The domain of an organization's new mailboxes, None for the platform's."""
    name: str | None = tx.value("SELECT default_domain FROM organizations WHERE id = ?", organization_id)
    return name


def domain_row(tx: Tx, organization_id: str, name: str) -> Row | None:
    """A sending domain of an organization by its bare name."""
    return tx.one(
        "SELECT * FROM sending_domains WHERE organization_id = ? AND domain = ?", organization_id, name
    )


def require_verified(tx: Tx, organization_id: str, name: str) -> None:
    """Make sure that mail can be sent from a domain: the platform's, or a verified one.

    Raises:
        ApiError: 409 for a domain of the organization in another state.
    """
    row = None if name == PLATFORM_DOMAIN else domain_row(tx, organization_id, name)
    if row is not None and row["status"] != "verified":
        raise ApiError(409, f"The sending domain {name} is not verified: its status is {row['status']}.")


def register_domain(tx: Tx, now: datetime, organization_id: str, name: str, status: str) -> Row:
    """Make a domain of an organization be in a state, whatever it was before.

    A domain that is no longer verified is no longer the default of new mailboxes.
    """
    row = domain_row(tx, organization_id, name)
    verified_at = now if status == "verified" else None
    if row is None:
        tx.insert(
            "sending_domains",
            id=f"sending_domain_{uuid4()}",
            organization_id=organization_id,
            domain=name,
            status=status,
            verified_at=verified_at,
            created_at=now,
        )
    else:
        tx.update("sending_domains", row["id"], status=status, verified_at=row["verified_at"] or verified_at)
    if status != "verified":
        tx.execute(
            "UPDATE organizations SET default_domain = NULL WHERE id = ? AND default_domain = ?",
            organization_id,
            name,
        )
    row = domain_row(tx, organization_id, name)
    assert row is not None
    return row


def show_domain(row: Row, default: str | None) -> Domain:
    """A domain as answers carry it."""
    return Domain(
        id=row["id"],
        domain=row["domain"],
        status=row["status"],
        is_default=row["domain"] == default,
        verified_at=row["verified_at"],
    )
