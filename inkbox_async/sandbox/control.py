"""The control API where it steers the sandbox itself: organizations, domains, clock, faults, journal."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

from inkbox_async.generated.models.identities import Domain
from inkbox_async.generated.models.sandbox import (
    AddFaultRequest,
    AddWorldDomainRequest,
    AdvanceClockRequest,
    OutboxItem,
    SandboxClock,
    SandboxFault,
    SandboxHealth,
    SandboxOrganization,
    SandboxOrganizationSettings,
    SandboxRequest,
    SandboxSignupCode,
    UpdateSandboxOrganizationRequest,
)
from inkbox_async.generated.queries.sandbox import ControlGetSignupCodeQuery, ControlListOutboxQuery

from . import outbox
from .controlling import ControlCall, controls
from .domains import default_domain, register_domain, show_domain
from .handling import invalid, not_found
from .limits import Limits
from .mail.addresses import normalise_domain
from .organizations import create_organization, new_organization
from .settings import PLATFORM_DOMAIN
from .signup import latest_code
from .store import Tx
from .vault_secrets import inline_access, is_access_inlined


@controls("control.get_health")
async def get_health(call: ControlCall) -> SandboxHealth:
    """Answers once everything listens."""
    return SandboxHealth(status="ok")


@controls("control.create_organization")
async def add_organization(call: ControlCall) -> SandboxOrganization:
    """A fresh organization."""
    organization = new_organization(call.sandbox.clock.now())
    await call.sandbox.store.run(lambda tx: create_organization(tx, organization))
    return SandboxOrganization(
        organization_id=organization.id,
        api_key=organization.api_key,
        user_id=organization.user_id,
        email_address=organization.email_address,
        password=organization.password,
    )


@controls("control.update_organization")
async def update_organization(call: ControlCall) -> SandboxOrganizationSettings:
    """Change what the outside has settled about an organization."""
    body: UpdateSandboxOrganizationRequest = call.body
    organization_id = call.path["organization_id"]

    def update(tx: Tx) -> SandboxOrganizationSettings:
        row = tx.one("SELECT limits FROM organizations WHERE id = ?", organization_id)
        if row is None:
            raise not_found("Organization")
        if body.customer_campaign is not None:
            tx.update("organizations", organization_id, customer_campaign=body.customer_campaign)
        if body.vault_access_inlined is not None:
            inline_access(tx, organization_id, body.vault_access_inlined)
        if body.limits is not None:
            limits = json.loads(row["limits"]) | body.limits.to_wire()
            tx.update("organizations", organization_id, limits=limits)
        return SandboxOrganizationSettings(
            organization_id=organization_id,
            customer_campaign=bool(
                tx.value("SELECT customer_campaign FROM organizations WHERE id = ?", organization_id)
            ),
            vault_access_inlined=is_access_inlined(tx, organization_id),
            limits=asdict(Limits.of(tx, organization_id)),
        )

    return await call.sandbox.store.run(update)


@controls("control.add_domain")
async def add_domain(call: ControlCall) -> Domain:
    """Give an organization a sending domain, or put one it has into another state."""
    body: AddWorldDomainRequest = call.body
    organization_id = body.organization_id or call.sandbox.organization_id
    now = call.sandbox.clock.now()
    try:
        name = normalise_domain(body.domain)
    except ValueError as error:
        raise invalid(str(error), "body", "domain") from None
    if name == PLATFORM_DOMAIN:
        raise invalid("The platform's domain belongs to nobody", "body", "domain")

    def add(tx: Tx) -> Domain:
        if tx.one("SELECT 1 FROM organizations WHERE id = ?", organization_id) is None:
            raise not_found("Organization")
        row = register_domain(tx, now, organization_id, name, str(body.status))
        return show_domain(row, default_domain(tx, organization_id))

    return await call.sandbox.store.run(add)


@controls("control.list_outbox")
async def list_outbox(call: ControlCall) -> list[OutboxItem]:
    """What left for the outside."""
    query: ControlListOutboxQuery = call.query
    return await call.sandbox.store.run(lambda tx: outbox.sent(tx, query.channel))


@controls("control.get_signup_code")
async def get_signup_code(call: ControlCall) -> SandboxSignupCode:
    """The code a human has in the mail."""
    query: ControlGetSignupCodeQuery = call.query
    code = await call.sandbox.store.run(lambda tx: latest_code(tx, query.email))
    if code is None:
        raise not_found("Verification mail")
    return SandboxSignupCode(code=code)


@controls("control.advance_clock")
async def advance_clock(call: ControlCall) -> SandboxClock:
    """Let time pass."""
    body: AdvanceClockRequest = call.body
    try:
        now = call.sandbox.clock.advance(body.advance_seconds)
    except ValueError as error:
        raise invalid(str(error), "body", "advance_seconds") from None
    await call.sandbox.store.run(lambda tx: None)  # the move is stored before this, and so before the answer
    return SandboxClock(now=now)


@controls("control.add_fault")
async def add_fault(call: ControlCall) -> SandboxFault:
    """Let the next matching calls fail."""
    body: AddFaultRequest = call.body
    try:
        fault = call.sandbox.faults.add(
            method=body.method,
            path=body.path,
            status=body.status,
            headers=body.headers,
            body=body.body,
            delay_seconds=body.delay_seconds,
            drop=body.drop,
            times=body.times,
        )
    except ValueError as error:
        raise invalid(str(error), "body") from None
    return SandboxFault(**asdict(fault))


@controls("control.clear_faults")
async def clear_faults(call: ControlCall) -> None:
    """Let calls succeed again."""
    call.sandbox.faults.clear()


@controls("control.list_requests")
async def list_requests(call: ControlCall) -> list[SandboxRequest]:
    """The journal."""

    def read() -> list[SandboxRequest]:
        return [SandboxRequest(**asdict(entry)) for entry in call.sandbox.journal.entries()]

    return await asyncio.to_thread(read)


@controls("control.reset")
async def reset(call: ControlCall) -> None:
    """Begin anew."""
    await call.sandbox.reset()
