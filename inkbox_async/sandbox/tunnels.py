"""Tunnels as data: list, get, metadata, signed certificates; and what the control API does to live ones."""

from __future__ import annotations

import json
from datetime import timedelta
from sqlite3 import Row
from typing import Final

from inkbox_async.generated.models.tunnels import (
    SignCsrRequest,
    SignedCert,
    Tunnel,
    TunnelList,
    UpdateTunnelRequest,
)

from .channels import tunnel_fields
from .clock import parse_timestamp, timestamp
from .controlling import ControlCall, controls
from .handles import normalise_handle
from .handling import ApiError, Call, handles, invalid, not_found, too_many
from .lifecycle import when_identity_is_deleted
from .store import Tx

TOPIC: Final = "tunnels"
"""Notified when a tunnel is renamed or deleted."""

METADATA_LIMIT: Final = 4096
"""Bytes of a tunnel's metadata as JSON."""

SIGNINGS: Final = 4
SIGNING_PERIOD: Final = timedelta(days=7)


@handles("tunnels.list")
def list_tunnels(call: Call) -> TunnelList:
    """The live tunnels that the caller may see, newest first."""
    rows = call.tx.all(
        "SELECT * FROM tunnels WHERE organization_id = ? AND status <> 'deleted' "
        "ORDER BY created_at DESC, id",
        call.caller.organization_id,
    )
    return TunnelList(tunnels=[_show(call, row) for row in rows if call.caller.may_touch(row["identity_id"])])


@handles("tunnels.get")
def get_tunnel(call: Call) -> Tunnel:
    """One tunnel."""
    return _show(call, _row(call))


@handles("tunnels.update")
def update_tunnel(call: Call) -> Tunnel:
    """Replace the metadata; without `metadata` nothing changes."""
    row = _row(call)
    body: UpdateTunnelRequest = call.body
    if "metadata" in body.model_fields_set:
        metadata = body.metadata or {}
        if len(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode()) > METADATA_LIMIT:
            raise invalid(f"At most {METADATA_LIMIT} bytes of JSON", "body", "metadata")
        call.tx.update("tunnels", row["id"], metadata=metadata, updated_at=call.now)
    return _show(call, _row(call))


@handles("tunnels.sign_csr")
def sign_csr(call: Call) -> SignedCert:
    """Sign a certificate for a passthrough tunnel; the first one makes it active."""
    row = _row(call)
    body: SignCsrRequest = call.body
    from .edge.ca import CsrRefused  # certificates take a while to import, and few tunnels have their own

    authority = call.settings.authority
    if row["tls_mode"] != "passthrough":
        raise ApiError(409, f"tls_mode is {row['tls_mode']}; CSR signing needs passthrough")
    if row["status"] not in ("awaiting_cert", "active"):
        raise ApiError(409, f"tunnel status is {row['status']}")
    if authority is None:
        raise ApiError(503, "The sandbox has no tunnel edge, so it signs no certificates.")
    try:
        signed = authority.sign(body.csr_pem, call.settings.public_host(row["tunnel_name"]), call.now)
    except CsrRefused as refused:
        raise ApiError(400, str(refused)) from None
    _count_signing(call, row["id"])
    call.tx.insert(
        "tunnel_certificates",
        fingerprint_sha256=signed.fingerprint_sha256,
        tunnel_id=row["id"],
        issued_at=call.now,
    )
    call.tx.update(
        "tunnels",
        row["id"],
        status="active",
        cert_pem=signed.cert_pem,
        cert_fingerprint_sha256=signed.fingerprint_sha256,
        cert_expires_at=signed.expires_at,
        updated_at=call.now,
    )
    call.tx.notify(TOPIC)
    return SignedCert(
        cert_pem=signed.cert_pem,
        chain_pem=signed.chain_pem,
        cert_fingerprint_sha256=signed.fingerprint_sha256,
        cert_expires_at=signed.expires_at,
    )


@when_identity_is_deleted
def end_tunnel(call: Call, identity_id: str) -> None:
    """The tunnel dies with its identity: its listener is disconnected."""
    call.tx.notify(TOPIC)


@controls("control.drain_tunnel")
async def drain_tunnel(call: ControlCall) -> None:
    """Have the edge drain the tunnel's connection."""
    edge, tunnel_id = call.sandbox.edge, await _tunnel_id(call)
    if edge is None or not await edge.drain(tunnel_id):
        raise _no_listener()


@controls("control.supersede_tunnel")
async def supersede_tunnel(call: ControlCall) -> None:
    """Displace the tunnel's listener as another one would."""
    edge, tunnel_id = call.sandbox.edge, await _tunnel_id(call)
    if edge is None or not edge.supersede(tunnel_id):
        raise _no_listener()


def _no_listener() -> ApiError:
    return ApiError(409, "No listener is connected to this tunnel.")


async def _tunnel_id(call: ControlCall) -> str:
    name = normalise_handle(call.path["agent_handle"])

    def find(tx: Tx) -> str | None:
        found: str | None = tx.value(
            "SELECT id FROM tunnels WHERE tunnel_name = ? AND status <> 'deleted'", name
        )
        return found

    tunnel_id = await call.sandbox.store.run(find)
    if tunnel_id is None:
        raise not_found("Tunnel")
    return tunnel_id


def _row(call: Call) -> Row:
    row = call.tx.one(
        "SELECT * FROM tunnels WHERE id = ? AND organization_id = ? AND status <> 'deleted'",
        call.path["tunnel_id"],
        call.caller.organization_id,
    )
    if row is None or not call.caller.may_touch(row["identity_id"]):
        raise not_found("Tunnel")
    return row


def _show(call: Call, row: Row) -> Tunnel:
    return Tunnel.model_validate(tunnel_fields(row, call.settings))


def _count_signing(call: Call, tunnel_id: str) -> None:
    """429 when the tunnel has had its certificates for the week."""
    recent = call.tx.all(
        "SELECT issued_at FROM tunnel_certificates WHERE tunnel_id = ? AND issued_at > ? ORDER BY issued_at",
        tunnel_id,
        timestamp(call.now - SIGNING_PERIOD),
    )
    if len(recent) >= SIGNINGS:
        free_at = parse_timestamp(recent[-SIGNINGS]["issued_at"]) + SIGNING_PERIOD
        wait = int((free_at - call.now).total_seconds()) + 1
        raise too_many(f"A tunnel may have {SIGNINGS} certificates signed in 7 days.", wait, SIGNINGS)
