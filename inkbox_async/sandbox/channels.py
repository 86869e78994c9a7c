"""The channels of an identity: how mailbox, tunnel and phone number come into being, end, and are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from sqlite3 import Row
from typing import Any
from uuid import uuid4

from inkbox_async.generated.models.identities import (
    IdentityMailbox,
    IdentityMailboxCreateOptions,
    IdentityPhoneNumber,
    IdentityPhoneNumberCreateOptions,
)
from inkbox_async.generated.models.tunnels import TunnelSummary

from .clock import parse_timestamp
from .handles import handle_unavailable
from .handling import ApiError, invalid
from .limits import Limits
from .numbering import free_number
from .settings import PLATFORM_DOMAIN, Settings
from .store import Tx
from .webhooks.destinations import check_agent, check_receiver

SMS_PROPAGATION = timedelta(minutes=12)
"""How long carriers take to let a new number send texts."""

_LOCAL_PART = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_CALL_ACTIONS = ("auto_accept", "auto_reject", "webhook", "hosted_agent", "forward")


def create_mailbox(
    tx: Tx,
    now: datetime,
    *,
    organization_id: str,
    identity_id: str,
    handle: str,
    options: IdentityMailboxCreateOptions,
) -> None:
    """Give an identity its mailbox.

    Raises:
        ApiError: 404 for an unknown sending domain, 409 for an unverified one or an address that is taken,
            422 for a bad local part.
    """
    domain = _sending_domain(tx, organization_id, options)
    local_part = (options.email_local_part or handle).lower()
    if domain == PLATFORM_DOMAIN and local_part != handle:
        raise invalid(
            f"At {PLATFORM_DOMAIN} the local part of the address is the handle",
            "body",
            "mailbox",
            "email_local_part",
        )
    if len(local_part) > 64 or not _LOCAL_PART.fullmatch(local_part):
        raise invalid("This cannot stand before the @ of an address", "body", "mailbox", "email_local_part")
    address = f"{local_part}@{domain}"
    if tx.one("SELECT 1 FROM mailboxes WHERE email_address = ? AND status <> 'deleted'", address):
        raise handle_unavailable(f"The address {address} is taken.", "mail")
    tx.insert(
        "mailboxes",
        id=uuid4(),
        organization_id=organization_id,
        identity_id=identity_id,
        email_address=address,
        local_part=local_part,
        domain=domain,
        created_at=now,
        updated_at=now,
    )


def create_tunnel(
    tx: Tx, now: datetime, *, organization_id: str, identity_id: str, handle: str, tls_mode: str
) -> None:
    """Give an identity its tunnel: active at once, or waiting for a certificate where it ends TLS itself."""
    tx.insert(
        "tunnels",
        id=uuid4(),
        organization_id=organization_id,
        identity_id=identity_id,
        tunnel_name=handle,
        tls_mode=tls_mode,
        status="awaiting_cert" if tls_mode == "passthrough" else "active",
        created_at=now,
        updated_at=now,
    )


def create_phone_number(
    tx: Tx,
    now: datetime,
    settings: Settings,
    *,
    organization_id: str,
    identity_id: str,
    options: IdentityPhoneNumberCreateOptions,
    location: Sequence[str] = ("body", "phone_number"),
) -> str:
    """Give an identity a phone number, and return the number's id. Texts can be sent after `SMS_PROPAGATION`.

    Raises:
        ApiError: 402 over the plan's limit, 409 when the identity has a number, 422 for options that do
            not fit.
    """
    check_call_addresses(options, settings, location)
    limit = Limits.of(tx, organization_id).phone_numbers
    count = tx.value(
        "SELECT count(*) FROM phone_numbers WHERE organization_id = ? AND status <> 'released'",
        organization_id,
    )
    if limit is not None and count >= limit:
        raise ApiError(402, f"Plan limit of {limit} phone numbers reached.")
    if live_number(tx, identity_id) is not None:
        raise ApiError(409, "This identity has a phone number already. Release it first.")
    number, state = free_number(tx, options.type or "local", options.state, location=location)
    number_id = str(uuid4())
    tx.insert(
        "phone_numbers",
        id=number_id,
        organization_id=organization_id,
        identity_id=identity_id,
        number=number,
        type=options.type or "local",
        state=state,
        incoming_call_action=options.incoming_call_action or "auto_reject",
        client_websocket_url=options.client_websocket_url,
        incoming_call_webhook_url=options.incoming_call_webhook_url,
        forwarding_target_type=options.forwarding_target_type,
        forwarding_phone_number=options.forwarding_phone_number,
        forwarding_sip_uri=options.forwarding_sip_uri,
        created_at=now,
        updated_at=now,
    )
    return number_id


def release_phone_number(tx: Tx, now: datetime, identity_id: str) -> bool:
    """Give an identity's number back to the carrier, for good. False when it has none."""
    number = live_number(tx, identity_id)
    if number is None:
        return False
    tx.update("phone_numbers", number["id"], status="released", identity_id=None, updated_at=now)
    return True


def live_number(tx: Tx, identity_id: str) -> Row | None:
    """The number of an identity that was not released."""
    return tx.one("SELECT * FROM phone_numbers WHERE identity_id = ? AND status <> 'released'", identity_id)


def settle_sms(tx: Tx, now: datetime, organization_id: str) -> None:
    """Let the numbers of an organization send texts whose registration has had its time."""
    for row in tx.all(
        "SELECT id, created_at FROM phone_numbers WHERE organization_id = ? AND sms_status = 'pending'",
        organization_id,
    ):
        ready_at = parse_timestamp(row["created_at"]) + SMS_PROPAGATION
        if ready_at <= now:
            tx.update("phone_numbers", row["id"], sms_status="ready", sms_ready_at=ready_at)


def show_mailbox(row: Row) -> IdentityMailbox:
    """A mailbox as embedded in its identity."""
    return IdentityMailbox(
        id=row["id"],
        email_address=row["email_address"],
        sending_domain=row["domain"],
        filter_mode=row["filter_mode_inbound"],
        inbound_filter_mode=row["filter_mode_inbound"],
        outbound_filter_mode=row["filter_mode_outbound"],
        agent_identity_id=row["identity_id"],
        filter_mode_change_notice=None,
        signature_html=row["signature_html"],
        signature_text=row["signature_text"],
        signature_enabled=bool(row["signature_enabled"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def show_phone_number(row: Row, identity: Row) -> IdentityPhoneNumber:
    """A phone number as embedded in its identity, which holds its filter modes."""
    return IdentityPhoneNumber(
        id=row["id"],
        number=row["number"],
        type=row["type"],
        status=row["status"],
        sms_status=row["sms_status"],
        sms_error_code=row["sms_error_code"],
        sms_error_detail=row["sms_error_detail"],
        sms_ready_at=row["sms_ready_at"],
        incoming_call_action=row["incoming_call_action"],
        client_websocket_url=row["client_websocket_url"],
        incoming_call_webhook_url=row["incoming_call_webhook_url"],
        forwarding_target_type=row["forwarding_target_type"],
        forwarding_phone_number=row["forwarding_phone_number"],
        forwarding_sip_uri=row["forwarding_sip_uri"],
        filter_mode=identity["phone_filter_mode_inbound"],
        inbound_filter_mode=identity["phone_filter_mode_inbound"],
        outbound_filter_mode=identity["phone_filter_mode_outbound"],
        state=row["state"],
        country=row["country"],
        agent_identity_id=row["identity_id"],
        filter_mode_change_notice=None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def show_tunnel(row: Row, settings: Settings) -> TunnelSummary:
    """A tunnel as embedded in its identity: whole, as clients of the documents' time read it."""
    return TunnelSummary.model_validate(tunnel_fields(row, settings))


def tunnel_fields(row: Row, settings: Settings) -> dict[str, Any]:  # Any: values of a JSON object
    """Everything that is told about a tunnel."""
    return {
        "id": row["id"],
        "organization_id": row["organization_id"],
        "tunnel_name": row["tunnel_name"],
        "agent_identity_id": row["identity_id"],
        "tls_mode": row["tls_mode"],
        "status": row["status"],
        "public_host": settings.public_host(row["tunnel_name"]),
        "zone": settings.tunnel_zone,
        "cert_pem": row["cert_pem"],
        "cert_fingerprint_sha256": row["cert_fingerprint_sha256"],
        "cert_expires_at": row["cert_expires_at"],
        "last_connected_at": row["last_connected_at"],
        "last_connected_ip_addr": row["last_connected_ip_addr"],
        "last_disconnected_at": row["last_disconnected_at"],
        "currently_connected": bool(row["currently_connected"]),
        "metadata": json.loads(row["metadata"]),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def check_call_addresses(
    options: IdentityPhoneNumberCreateOptions, settings: Settings, location: Sequence[str]
) -> None:
    """Make sure that a known thing happens to calls, at addresses of the right kind.

    Raises:
        ApiError: 422 otherwise.
    """
    if options.incoming_call_action not in _CALL_ACTIONS:
        known = ", ".join(repr(action) for action in _CALL_ACTIONS)
        raise invalid(f"Input should be one of {known}", *location, "incoming_call_action", kind="enum")
    for name, check in (("client_websocket_url", check_agent), ("incoming_call_webhook_url", check_receiver)):
        if (url := getattr(options, name)) is not None:
            try:
                check(url, settings)
            except ValueError as error:
                raise invalid(str(error), *location, name) from None


def _sending_domain(tx: Tx, organization_id: str, options: IdentityMailboxCreateOptions) -> str:
    """Domain of a new mailbox: as asked for, the platform's for null, else the organization's default."""
    if "sending_domain" not in options.model_fields_set:
        default = tx.value("SELECT default_domain FROM organizations WHERE id = ?", organization_id)
        return str(default or PLATFORM_DOMAIN)
    wanted = (options.sending_domain or PLATFORM_DOMAIN).lower()
    if wanted == PLATFORM_DOMAIN:
        return wanted
    status = tx.value(
        "SELECT status FROM sending_domains WHERE organization_id = ? AND domain = ?", organization_id, wanted
    )
    if status is None or status == "awaiting_ownership":
        raise ApiError(404, f"The organization has no sending domain {wanted}.")
    if status != "verified":
        raise ApiError(409, f"The sending domain {wanted} is not verified: its status is {status}.")
    return wanted
