"""Agents that sign up by themselves: a provisional organization, a code by mail, and the claim by a human."""

from __future__ import annotations

import hmac
import re
import secrets
import uuid
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTPUTF8
from email.utils import format_datetime, make_msgid
from sqlite3 import Row

from inkbox_async.generated.models.identities import (
    AgentSignupRequest,
    AgentSignupResendResponse,
    AgentSignupResponse,
    AgentSignupStatusResponse,
    AgentSignupVerifyResponse,
    IdentityMailboxCreateOptions,
    SignupRestrictions,
    VerifyAgentSignupRequest,
)

from . import lifecycle, outbox
from .auth import create_key
from .clock import parse_timestamp
from .handles import normalise_handle, parse_handle
from .handling import ApiError, Call, handles, invalid, not_found, too_many
from .identities import create_identity
from .settings import PLATFORM_DOMAIN
from .store import Tx

CODE_LIFE = timedelta(hours=48)
RESEND_COOLDOWN = timedelta(minutes=5)
MAX_ATTEMPTS = 5
MAX_UNCLAIMED_AGENTS = 10
"""How many agents may wait for the same human."""

_ADDRESS = re.compile(r"[^@\s<>\",;:]+@[^@\s<>\",;:]+\.[^@\s<>\",;:.]+")
_SENDER = Address("Inkbox", "noreply", PLATFORM_DOMAIN)


@handles("signup.register")
def register(call: Call) -> AgentSignupResponse:
    """Make an organization, an identity and a key, and mail the code to the human."""
    body: AgentSignupRequest = call.body
    human_email = body.human_email.strip().lower()
    if not _ADDRESS.fullmatch(human_email):
        raise invalid("This is not an e-mail address", "body", "human_email")
    waiting = call.tx.value(
        "SELECT count(*) FROM signups AS s JOIN identities AS i ON i.id = s.identity_id "
        "WHERE s.human_email = ? AND s.claim_status = 'agent_unclaimed' AND i.status <> 'deleted'",
        human_email,
    )
    if waiting >= MAX_UNCLAIMED_AGENTS:
        raise too_many("Too many agents wait for this human to claim them.", 3600)
    organization_id = f"org_agent_{uuid.uuid4()}"
    call.tx.insert(
        "organizations",
        id=organization_id,
        user_id="",
        email_address=human_email,
        password="",
        provisional=True,
        created_at=call.now,
    )
    handle = _wanted_handle(body)
    options = {} if body.email_local_part is None else {"email_local_part": body.email_local_part}
    identity_id = create_identity(
        call,
        organization_id=organization_id,
        handle=handle,
        display_name=body.display_name,
        mailbox=IdentityMailboxCreateOptions.model_validate(options),
    )
    key = create_key(
        call.tx,
        call.now,
        organization_id=organization_id,
        scoped_identity_id=identity_id,
        label="Agent sign-up",
        created_by=identity_id,
        creator_type="agent",
    )
    call.tx.insert(
        "signups",
        identity_id=identity_id,
        human_email=human_email,
        code=_new_code(),
        code_sent_at=call.now,
        harness=None if body.harness is None else body.harness.strip().lower(),
        note_to_human=body.note_to_human,
        created_at=call.now,
    )
    lifecycle.identity_created(call, identity_id)
    row = _signup(call.tx, identity_id)
    _mail_code(call.tx, call.now, row)
    return AgentSignupResponse(
        email_address=row["agent_address"],
        organization_id=organization_id,
        api_key=key.secret,
        agent_handle=handle,
        claim_status=row["claim_status"],
        human_email=human_email,
        message=f"A code was mailed to {human_email}. Ask for it, and verify within 48 hours.",
        invitation=None,
    )


@handles("signup.verify")
def verify(call: Call) -> AgentSignupVerifyResponse:
    """Claim the agent with the code; a wrong one counts."""
    body: VerifyAgentSignupRequest = call.body
    row = _own_signup(call)
    if row["claim_status"] == "agent_claimed":
        return _verified(call, "This agent is claimed already.")
    if row["attempts"] >= MAX_ATTEMPTS:
        raise too_many("Too many wrong codes. Ask for a new one.", int(RESEND_COOLDOWN.total_seconds()))
    if call.now - parse_timestamp(row["code_sent_at"]) > CODE_LIFE:
        raise ApiError(410, "The code is older than 48 hours. Ask for a new one.")
    if not hmac.compare_digest(body.verification_code.strip().encode(), str(row["code"]).encode()):
        call.tx.execute(
            "UPDATE signups SET attempts = attempts + 1 WHERE identity_id = ?", call.caller.identity_id
        )
        raise ApiError(401, "The code is wrong.", keep_changes=True)
    call.tx.execute(
        "UPDATE signups SET claim_status = 'agent_claimed', claimed_at = ? WHERE identity_id = ?",
        call.now,
        call.caller.identity_id,
    )
    return _verified(call, "The agent is claimed; its restrictions are lifted.")


@handles("signup.resend")
def resend(call: Call) -> AgentSignupResendResponse:
    """Mail a new code; the old one is void and wrong attempts are forgotten."""
    row = _own_signup(call)
    if row["claim_status"] != "agent_claimed":
        wait = parse_timestamp(row["code_sent_at"]) + RESEND_COOLDOWN - call.now
        if wait > timedelta():
            raise too_many("A code was mailed a moment ago.", int(wait.total_seconds()) + 1)
        call.tx.execute(
            "UPDATE signups SET code = ?, code_sent_at = ?, attempts = 0 WHERE identity_id = ?",
            _new_code(),
            call.now,
            call.caller.identity_id,
        )
        _mail_code(call.tx, call.now, _own_signup(call))
        message = f"A new code was mailed to {row['human_email']}."
    else:
        message = "This agent is claimed already; no code is needed."
    return AgentSignupResendResponse(
        claim_status=row["claim_status"], organization_id=call.caller.organization_id, message=message
    )


@handles("signup.status")
def status(call: Call) -> AgentSignupStatusResponse:
    """How far the claim has come, and what the agent may do."""
    row = _own_signup(call)
    claimed = row["claim_status"] == "agent_claimed"
    limits = call.limits
    sends = limits.mail_sends_per_day if claimed else limits.unclaimed_mail_sends_per_day
    has_account = call.tx.one(
        "SELECT 1 FROM organizations WHERE email_address = ? AND provisional = 0", row["human_email"]
    )
    if claimed:
        human_state = "human_account_verified"
    else:
        human_state = "human_account_unverified" if has_account else "human_no_account"
    return AgentSignupStatusResponse(
        claim_status=row["claim_status"],
        human_state=human_state,
        human_email=row["human_email"],
        restrictions=SignupRestrictions(
            max_sends_per_day=_UNLIMITED if sends is None else sends,
            allowed_recipients=[] if claimed else [row["human_email"]],
            can_receive=True,
            can_create_mailboxes=False,
        ),
    )


def latest_code(tx: Tx, human_email: str) -> str | None:
    """The code in the newest verification mail to a human."""
    code: str | None = tx.value(
        "SELECT code FROM signups WHERE human_email = ? ORDER BY code_sent_at DESC",
        human_email.strip().lower(),
    )
    return code


_UNLIMITED = 2**31 - 1  # the field is a number; there is none for "no limit"


def _wanted_handle(body: AgentSignupRequest) -> str:
    if body.agent_handle is not None:
        return parse_handle(body.agent_handle)
    slug = re.sub(r"[^a-z0-9]+", "-", (body.display_name or "agent").lower()).strip("-")[:40].strip("-")
    return normalise_handle(f"{slug or 'agent'}-{secrets.token_hex(3)}")


def _new_code() -> str:
    return f"{secrets.randbelow(10**6):06}"


def _own_signup(call: Call) -> Row:
    if call.caller.identity_id is None:
        raise not_found("Sign-up")
    return _signup(call.tx, call.caller.identity_id)


def _signup(tx: Tx, identity_id: str) -> Row:
    row = tx.one(
        "SELECT s.*, i.agent_handle, i.organization_id, m.email_address AS agent_address FROM signups AS s "
        "JOIN identities AS i ON i.id = s.identity_id JOIN mailboxes AS m ON m.identity_id = i.id "
        "WHERE s.identity_id = ?",
        identity_id,
    )
    if row is None:
        raise not_found("Sign-up")
    return row


def _verified(call: Call, message: str) -> AgentSignupVerifyResponse:
    return AgentSignupVerifyResponse(
        claim_status="agent_claimed",
        organization_id=call.caller.organization_id,
        message=message,
        invitation=None,
    )


def _mail_code(tx: Tx, now: datetime, row: Row) -> None:
    """Put the verification mail to the human into the outbox."""
    text = (
        f"The agent @{row['agent_handle']} ({row['agent_address']}) asks you to claim it.\n\n"
        f"{row['note_to_human']}\n\n"
        f"If you know this agent, give it this code within 48 hours: {row['code']}\n"
    )
    mail = EmailMessage(SMTPUTF8)
    mail["From"] = _SENDER
    mail["To"] = row["human_email"]
    mail["Subject"] = f"Your code for @{row['agent_handle']}: {row['code']}"
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = make_msgid(domain=PLATFORM_DOMAIN)
    mail.set_content(text)
    outbox.put(
        tx,
        now,
        channel="mail",
        sender=_SENDER.addr_spec,
        recipients=[row["human_email"]],
        subject=mail["Subject"],
        text=text,
        raw=mail.as_bytes(),
    )
