"""Agent identities: creating, showing, changing and deleting them with everything that belongs to them."""

from __future__ import annotations

from sqlite3 import Row
from uuid import uuid4

from inkbox_async.generated.models.identities import (
    AgentIdentityDetail,
    CreateIdentityRequest,
    IdentityMailboxCreateOptions,
    UpdateIdentityRequest,
)

from . import channels, lifecycle
from .auth import revoke_keys_of
from .filter_modes import change_filter_modes
from .handles import parse_handle, require_free
from .handling import Answer, ApiError, Call, handles, invalid, not_found
from .idempotency import send_once
from .signing_keys import key_row
from .visibility import identity_row, is_visible, own_identity, visible_identity

_NO_LINES = {
    "error": "dedicated_imessage_number_quota_exceeded",
    "message": "The sandbox's plan has no dedicated iMessage lines.",
    "number_type": "dedicated_outbound",
    "limit": 0,
    "current": 0,
    "upgrade_url": "",
    "contact_email": "",
}


@handles("identities.list")
def list_identities(call: Call) -> list[AgentIdentityDetail]:
    """The caller's organization's identities that the caller may see, newest first."""
    rows = call.tx.all(
        "SELECT * FROM identities WHERE organization_id = ? AND status <> 'deleted' "
        "ORDER BY created_at DESC, id",
        call.caller.organization_id,
    )
    return [show_identity(call, row) for row in rows if is_visible(call, row)]


@handles("identities.get")
def get_identity(call: Call) -> AgentIdentityDetail:
    """One identity."""
    return show_identity(call, visible_identity(call))


@handles("identities.create")
def create(call: Call) -> AgentIdentityDetail:
    """Create an identity with its channels."""
    body: CreateIdentityRequest = call.body
    limit = call.limits.identities
    count = call.tx.value(
        "SELECT count(*) FROM identities WHERE organization_id = ? AND status <> 'deleted'",
        call.caller.organization_id,
    )
    if limit is not None and count >= limit:
        raise ApiError(402, f"Plan limit of {limit} identities reached.")
    if body.claim_imessage_number:
        if not body.imessage_enabled:
            raise invalid("A line is claimed with imessage_enabled: true", "body", "claim_imessage_number")
        raise ApiError(402, _NO_LINES)
    identity_id = create_identity(
        call,
        organization_id=call.caller.organization_id,
        handle=parse_handle(body.agent_handle),
        display_name=body.display_name,
        description=body.description,
        imessage_enabled=bool(body.imessage_enabled),
        contact_sharing_enabled=body.contact_sharing_enabled is not False,
        mailbox=body.mailbox or IdentityMailboxCreateOptions(),
        tls_mode=str((body.tunnel and body.tunnel.tls_mode) or "edge"),
    )
    if body.phone_number is not None:
        channels.create_phone_number(
            call.tx,
            call.now,
            call.settings,
            organization_id=call.caller.organization_id,
            identity_id=identity_id,
            options=body.phone_number,
        )
    lifecycle.identity_created(call, identity_id)
    return show_identity(call, identity_row(call, identity_id))


@handles("identities.update")
def update_identity(call: Call) -> AgentIdentityDetail | Answer:
    """Change an identity; under an idempotency key only once."""
    row = own_identity(call)
    body: UpdateIdentityRequest = call.body
    if body.claim_imessage_number and "idempotency-key" not in call.headers:
        raise invalid("Claiming a line needs an Idempotency-Key", "header", "Idempotency-Key", kind="missing")
    return send_once(
        call, "identity", row["id"], "identities.update", lambda: (row["id"], _update(call, row, body))
    )


@handles("identities.delete")
def delete_identity(call: Call) -> None:
    """Delete an identity: its channels end with it and its keys no longer work."""
    identity_id = visible_identity(call)["id"]
    lifecycle.identity_deleted(call, identity_id)
    tx, now = call.tx, call.now
    tx.update("identities", identity_id, status="deleted", updated_at=now)
    for table in ("mailboxes", "tunnels"):
        tx.execute(
            f"UPDATE {table} SET status = 'deleted', updated_at = ? WHERE identity_id = ?", now, identity_id
        )
    channels.release_phone_number(tx, now, identity_id)
    revoke_keys_of(tx, now, identity_id)
    tx.execute(
        "DELETE FROM identity_access WHERE target_identity_id = ? OR viewer_identity_id = ?",
        identity_id,
        identity_id,
    )
    tx.execute("DELETE FROM signing_keys WHERE identity_id = ?", identity_id)


@handles("identities.release_phone_number")
def release_phone_number(call: Call) -> None:
    """Give the identity's number back."""
    if not channels.release_phone_number(call.tx, call.now, visible_identity(call)["id"]):
        raise not_found("Phone number")


def create_identity(
    call: Call,
    *,
    organization_id: str,
    handle: str,
    display_name: str | None = None,
    description: str | None = None,
    imessage_enabled: bool = False,
    contact_sharing_enabled: bool = True,
    mailbox: IdentityMailboxCreateOptions,
    tls_mode: str = "edge",
) -> str:
    """Store an identity with mailbox and tunnel, and return its id.

    Raises:
        ApiError: 409 when the handle or the address is taken; what `channels.create_mailbox` refuses.
    """
    require_free(call.tx, handle)
    identity_id = str(uuid4())
    call.tx.insert(
        "identities",
        id=identity_id,
        organization_id=organization_id,
        agent_handle=handle,
        display_name=handle if display_name is None else display_name,
        description=description,
        imessage_enabled=imessage_enabled,
        contact_sharing_enabled=contact_sharing_enabled,
        created_at=call.now,
        updated_at=call.now,
    )
    channels.create_mailbox(
        call.tx,
        call.now,
        organization_id=organization_id,
        identity_id=identity_id,
        handle=handle,
        options=mailbox,
    )
    channels.create_tunnel(
        call.tx,
        call.now,
        organization_id=organization_id,
        identity_id=identity_id,
        handle=handle,
        tls_mode=tls_mode,
    )
    return identity_id


def show_identity(call: Call, row: Row) -> AgentIdentityDetail:
    """An identity with its channels, as answers carry it."""
    tx, settings = call.tx, call.settings
    channels.settle_sms(tx, call.now, row["organization_id"])
    mailbox = tx.one("SELECT * FROM mailboxes WHERE identity_id = ? AND status <> 'deleted'", row["id"])
    tunnel = tx.one("SELECT * FROM tunnels WHERE identity_id = ? AND status <> 'deleted'", row["id"])
    number = channels.live_number(tx, row["id"])
    signing_key = key_row(tx, row["organization_id"], row["id"])
    mail = mailbox or {"filter_mode_inbound": "blacklist", "filter_mode_outbound": "blacklist"}
    return AgentIdentityDetail(
        id=row["id"],
        organization_id=row["organization_id"],
        agent_handle=row["agent_handle"],
        display_name=row["display_name"],
        description=row["description"],
        status=row["status"],
        email_address=None if mailbox is None else mailbox["email_address"],
        imessage_enabled=bool(row["imessage_enabled"]),
        contact_sharing_enabled=bool(row["contact_sharing_enabled"]),
        imessage_filter_mode=row["phone_filter_mode_inbound"],
        mail_filter_mode=mail["filter_mode_inbound"],
        mail_inbound_filter_mode=mail["filter_mode_inbound"],
        mail_outbound_filter_mode=mail["filter_mode_outbound"],
        phone_filter_mode=row["phone_filter_mode_inbound"],
        phone_inbound_filter_mode=row["phone_filter_mode_inbound"],
        phone_outbound_filter_mode=row["phone_filter_mode_outbound"],
        slack_filter_mode=row["slack_filter_mode_inbound"],
        slack_inbound_filter_mode=row["slack_filter_mode_inbound"],
        slack_outbound_filter_mode=row["slack_filter_mode_outbound"],
        signing_key_configured=signing_key is not None,
        signing_key_created_at=None if signing_key is None else signing_key["created_at"],
        mailbox=None if mailbox is None else channels.show_mailbox(mailbox),
        phone_number=None if number is None else channels.show_phone_number(number, row),
        imessage_number=None,
        tunnel=None if tunnel is None else channels.show_tunnel(tunnel, settings),
        notices=None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _update(call: Call, row: Row, body: UpdateIdentityRequest) -> AgentIdentityDetail:
    _refuse_lines(call, body)
    change_filter_modes(call, row["id"], body)
    changes: dict[str, object] = {
        name: getattr(body, name) for name in ("display_name", "description") if name in body.model_fields_set
    }
    for name in ("status", "imessage_enabled", "contact_sharing_enabled"):
        if (value := getattr(body, name)) is not None:
            changes[name] = value
    if body.agent_handle is not None:
        handle = parse_handle(body.agent_handle)
        if handle != row["agent_handle"]:
            require_free(call.tx, handle, except_for=row["id"])
            changes["agent_handle"] = handle
            call.tx.execute(
                "UPDATE tunnels SET tunnel_name = ?, updated_at = ? WHERE identity_id = ?",
                handle,
                call.now,
                row["id"],
            )
            call.tx.notify("tunnels")
    if body.model_fields_set:
        call.tx.update("identities", row["id"], updated_at=call.now, **changes)
    return show_identity(call, identity_row(call, row["id"]))


def _refuse_lines(call: Call, body: UpdateIdentityRequest) -> None:
    """Dedicated iMessage lines are an admin's affair, and the sandbox's plan has none."""
    wants_line = body.claim_imessage_number or body.imessage_number_id is not None
    if wants_line or "imessage_number_id" in body.model_fields_set:
        call.refuse_agents("Choosing an iMessage line")
    if body.claim_imessage_number:
        raise ApiError(402, _NO_LINES)
    if body.imessage_number_id is not None:
        raise not_found("iMessage number")
