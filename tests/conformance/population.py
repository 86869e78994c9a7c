"""A sandbox with people in it: two organizations, an agent nobody has claimed, one of everything at least."""

from __future__ import annotations

import asyncio
import base64
import itertools
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.store import Tx

JSON = Any  # Any: JSON values of every type
Tables = dict[str, list[tuple[object, ...]]]

REGISTRATION = 20 * 60
"""Seconds after which a new number can send texts, and a sign-up can ask for another code."""
ORGANIZATION_NAMES = ("organization_id", "domain_name", "auth_hash", "recovery_hash")
BODY = "Meet me at noon."


@dataclass
class Household:
    """An agent and what belongs to it.

    Attributes:
        keys: An API key of each kind of caller that may see all of it.
        names: What stands in paths, queries and bodies: `email_address`, `message_id`, and so on.
        marker: A word that stands in every text of the household, and nowhere else.
    """

    marker: str
    keys: dict[str, str] = field(default_factory=dict, repr=False)
    names: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.names[name]


@dataclass
class Population:
    """Who lives in the sandbox.

    Attributes:
        alice: An agent of the ready-made organization, with an admin key, and one of everything.
        bob: Another agent of the same organization, with one of everything, too.
        zoe: An agent of another organization, with an admin key of that.
        newcomer: An agent that has signed up by itself and that nobody has claimed.
        dead_keys: Keys that were good once, by what has happened to them.
    """

    alice: Household
    bob: Household
    zoe: Household
    newcomer: Household
    dead_keys: dict[str, str] = field(repr=False)
    tables: Tables = field(default_factory=dict, repr=False)
    time: timedelta = timedelta()

    async def restore(self, sandbox: Sandbox) -> None:
        """Put everything back to how it was, whatever has been done since."""
        await sandbox.reset()
        await sandbox.store.run(self._fill)
        sandbox.clock.reset(self.time)

    def _fill(self, tx: Tx) -> None:
        """Write every row. Only an organization and its key are there now."""
        tx.execute("PRAGMA defer_foreign_keys = ON")
        for name in ("meta", "api_keys", "organizations"):
            tx.execute(f"DELETE FROM {name}")
        for name, (columns, *rows) in self.tables.items():
            if rows:
                marks = ", ".join(f"({', '.join('?' * len(columns))})" for _ in rows)
                values = itertools.chain.from_iterable(rows)
                tx.execute(f"INSERT INTO {name} ({', '.join(map(str, columns))}) VALUES {marks}", *values)


async def populate(sandbox: Sandbox) -> Population:
    """Let everybody move in."""
    async with aiohttp.ClientSession() as session:
        builder = _Builder(sandbox, session)
        newcomer = await builder.newcomer()
        alice = await builder.organization("alice", sandbox.api_key)
        shared = {name: alice[name] for name in ORGANIZATION_NAMES}
        bob = await builder.agent("bob", sandbox.api_key, shared)
        zoe_key = (await sandbox.world.create_organization()).api_key
        zoe = await builder.organization("zoe", zoe_key)
        dead_keys = await builder.dead_keys(zoe_key)
    population = Population(alice, bob, zoe, newcomer, dead_keys)
    population.tables = await settled(sandbox)
    population.time = sandbox.clock.now() - _real_now()
    return population


def _real_now() -> datetime:
    return datetime.now(UTC)


async def settled(sandbox: Sandbox) -> Tables:
    """What is stored once nothing is on its way any more."""
    before: Tables = {}
    while True:
        after = await sandbox.store.run(dump)
        if after == before and not await sandbox.store.run(_is_busy):
            return after
        before = after
        await asyncio.sleep(0.05)


def _is_busy(tx: Tx) -> bool:
    questions = (
        "SELECT count(*) FROM calls WHERE ended_at IS NULL",
        "SELECT count(*) FROM texts WHERE delivery_status IN ('queued', 'sent')",
        "SELECT count(*) FROM mail_messages WHERE status IN ('queued', 'sent')",
        "SELECT count(*) FROM imessage_messages WHERE status IN ('queued', 'sent')",
        "SELECT count(*) FROM webhook_deliveries WHERE status = 'waiting'",
    )
    return any(tx.value(question) for question in questions)


def dump(tx: Tx) -> Tables:
    """Every row of every table, below the names of the columns; but not when keys were last used."""
    return {name: [columns, *_rows(tx, name, columns)] for name, columns in layout(tx).items()}


def dump_like(tx: Tx, tables: Tables) -> Tables:
    """The same in less time, for tables that were dumped before."""
    return {name: [columns, *_rows(tx, name, columns)] for name, (columns, *_) in tables.items()}


def _rows(tx: Tx, table: str, columns: Sequence[object]) -> list[tuple[object, ...]]:
    return [tuple(row) for row in tx.all(f"SELECT {', '.join(map(str, columns))} FROM {table}")]


def layout(tx: Tx) -> dict[str, tuple[object, ...]]:
    """The columns of all tables, with the row's number where others refer to it."""
    names = tx.all(
        "SELECT name FROM pragma_table_list "
        "WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite_%' ORDER BY name"
    )
    found: dict[str, tuple[object, ...]] = {}
    for (name,) in names:
        columns = [row["name"] for row in tx.all(f"PRAGMA table_xinfo({name})") if not row["hidden"]]
        if name == "api_keys":
            columns.remove("last_used_at")
        found[name] = (*(["rowid"] if name.endswith("_search") else []), *columns)
    return found


class _Builder:
    """Makes households through the front door: the API, and the world outside."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.session = session
        self.numbers = iter(f"+1555010{number:04}" for number in range(1, 100))

    async def call(self, key: str, method: str, path: str, body: JSON = None, **query: str) -> JSON:
        """Call the API; whatever is no success is a mistake of this file."""
        headers = {"X-API-Key": key} if key else {}
        url = self.sandbox.base_url + path
        async with self.session.request(method, url, json=body, params=query, headers=headers) as response:
            answer = await response.text()
            assert response.status < 300, (method, path, body, response.status, answer)
            return await response.json() if answer else None

    async def organization(self, name: str, admin: str) -> Household:
        """What there is one of in an organization, and an agent of it."""
        domain = f"mail.{name}.example"
        whoami = await self.call(admin, "GET", "/api/whoami")
        await self.sandbox.world.add_domain(domain, "verified", organization_id=whoami["organization_id"])
        auth_hash, recovery = uuid.uuid4().hex * 2, uuid.uuid4().hex * 2
        vault = {
            "vault_key": _key_material(auth_hash, "primary"),
            "recovery_keys": [_key_material(recovery, "recovery")],
        }
        await self.call(admin, "POST", "/api/v1/vault/initialize", vault)
        shared = {
            "organization_id": whoami["organization_id"],
            "domain_name": domain,
            "auth_hash": auth_hash,
            "recovery_hash": recovery,
        }
        return await self.agent(name, admin, shared)

    async def agent(self, name: str, admin: str, shared: Mapping[str, str] | None = None) -> Household:
        """An agent with one of everything, and texts that carry its marker everywhere."""
        home = Household(f"marker-{name}")
        word = home.marker
        wanted = {
            "agent_handle": f"{name}-agent",
            "display_name": f"{name} {word}",
            "imessage_enabled": True,
            "tunnel": {"tls_mode": "passthrough"},
            "phone_number": {"type": "local"},
        }
        identity = await self.call(admin, "POST", "/api/v1/identities/", wanted)
        viewer = {"agent_handle": f"{name}-viewer"}
        viewer_id = (await self.call(admin, "POST", "/api/v1/identities/", viewer))["id"]
        handle, identity_id = identity["agent_handle"], identity["id"]
        scoped = {"label": word, "scoped_identity_id": identity_id}
        key = (await self.call(admin, "POST", "/api/v1/api-keys", scoped))["api_key"]
        home.keys = {"admin": admin, "agent": key}
        home.names = {
            **(shared or {}),
            "agent_handle": handle,
            "identity_id": identity_id,
            "viewer_identity_id": viewer_id,
            "email_address": identity["email_address"],
            "mailbox_id": identity["mailbox"]["id"],
            "phone_number_id": identity["phone_number"]["id"],
            "number": identity["phone_number"]["number"],
            "tunnel_id": identity["tunnel"]["id"],
            "csr_pem": _csr(identity["tunnel"]["public_host"]),
        }
        path = f"/api/v1/identities/{handle}/access"
        await self.call(admin, "POST", path, {"viewer_identity_id": viewer_id})
        await self.call(admin, "POST", f"/api/v1/identities/{handle}/signing-key", {})
        await self._mail(home)
        await self._texts_and_calls(home)
        await self._imessages(home)
        await self._contacts_and_notes(home)
        await self._rules(home)
        await self._secrets(home)
        await self._webhooks(home)
        return home

    async def _mail(self, home: Household) -> None:
        file = {
            "filename": "plan.txt",
            "content_type": "text/plain",
            "content_base64": base64.b64encode(home.marker.encode()).decode(),
        }
        address = home["email_address"]
        came = await self.sandbox.world.send_email(
            from_=f"{home.marker}@example.com",
            to=[address],
            subject=f"Plan {home.marker}",
            text=f"{BODY} {home.marker}",
            attachments=[file],
        )
        home.names |= {
            "message_id": str(came.deliveries[0].message_id),
            "thread_id": str(came.deliveries[0].thread_id),
            "filename": file["filename"],
        }
        sent = {
            "recipients": {"to": [f"{home.marker}@example.com"]},
            "subject": f"Reply {home.marker}",
            "body_text": f"{BODY} {home.marker}",
        }
        await self.call(_key(home), "POST", f"/api/v1/mail/mailboxes/{address}/messages", sent)

    async def _texts_and_calls(self, home: Household) -> None:
        self.sandbox.clock.advance(REGISTRATION)
        person, number = next(self.numbers), home["number"]
        await self.sandbox.world.send_text(from_=person, to=number, text="START")
        came = await self.sandbox.world.send_text(from_=person, to=number, text=f"{BODY} {home.marker}")
        texts = f"/api/v1/phone/numbers/{home['phone_number_id']}/texts"
        body = {"to": person, "text": f"Yes {home.marker}"}
        await self.call(home.keys["agent"], "POST", texts, body)
        call = await self.sandbox.world.place_call(from_=person, to=number)
        # An organization with a campaign of its own may change people's consent.
        await self.sandbox.world.update_organization(home["organization_id"], customer_campaign=True)
        home.names |= {
            "remote_number": person,
            "receiver_number": person,
            "text_id": str(came.text_id),
            "text_conversation_id": str(came.conversation_id),
            "call_id": str(call.call_id),
        }

    async def _imessages(self, home: Household) -> None:
        person = home["remote_number"]
        connected = await self.sandbox.world.send_imessage(
            from_=person, text=f"connect @{home['agent_handle']}"
        )
        came = await self.sandbox.world.send_imessage(from_=person, text=f"{BODY} {home.marker}")
        assert came.message_id is not None, connected
        home.names |= {
            "conversation_id": str(came.conversation_id),
            "imessage_id": str(came.message_id),
        }
        answer = {"conversation_id": home["conversation_id"], "text": f"Yes {home.marker}"}
        await self.call(home.keys["agent"], "POST", "/api/v1/imessage/messages", answer)

    async def _contacts_and_notes(self, home: Household) -> None:
        admin, identity_id = home.keys["admin"], home["identity_id"]
        contact = {
            "given_name": home.marker,
            "emails": [{"value": f"{home.marker}@example.com"}],
            "access_identity_ids": [identity_id],
        }
        contact_id = (await self.call(admin, "POST", "/api/v1/contacts", contact))["id"]
        note = {"title": home.marker, "body": f"{BODY} {home.marker}"}
        note_id = (await self.call(admin, "POST", "/api/v1/notes", note))["id"]
        await self.call(admin, "POST", f"/api/v1/notes/{note_id}/access", {"identity_id": identity_id})
        home.names |= {"contact_id": contact_id, "note_id": note_id}

    async def _rules(self, home: Household) -> None:
        admin = home.keys["admin"]
        mail = {"action": "block", "match_type": "domain", "match_target": f"{home.marker}.example"}
        phone = {"action": "block", "match_target": next(self.numbers)}
        for name, path, rule in (
            ("mail_rule_id", f"mail/mailboxes/{home['email_address']}", mail),
            ("phone_rule_id", f"phone/numbers/{home['phone_number_id']}", phone),
            ("imessage_rule_id", f"imessage/identities/{home['agent_handle']}", phone),
        ):
            made = await self.call(admin, "POST", f"/api/v1/{path}/contact-rules", rule)
            home.names[name] = made["id"]

    async def _secrets(self, home: Household) -> None:
        admin = home.keys["admin"]
        secret = {"name": home.marker, "secret_type": "login", "encrypted_payload": f"sealed-{home.marker}"}
        secret_id = (await self.call(admin, "POST", "/api/v1/vault/secrets", secret))["id"]
        access = {"identity_id": home["identity_id"]}
        await self.call(admin, "POST", f"/api/v1/vault/secrets/{secret_id}/access", access)
        home.names["secret_id"] = secret_id

    async def _webhooks(self, home: Household) -> None:
        await settled(self.sandbox)  # what has happened so far is nobody's event
        subscription = {
            "mailbox_id": home["mailbox_id"],
            "url": f"http://127.0.0.1:9/{home.marker}",
            "event_types": ["message.received"],
        }
        made = await self.call(home.keys["admin"], "POST", "/api/v1/webhooks/subscriptions", subscription)
        home.names["sub_id"] = made["id"]

    async def newcomer(self) -> Household:
        """An agent that has signed up, with mail from the human who has not claimed it."""
        home = Household("marker-newcomer")
        human = f"{home.marker}@example.com"
        wanted = {"human_email": human, "note_to_human": home.marker, "agent_handle": "newcomer-agent"}
        made = await self.call("", "POST", "/api/v1/agent-signup", wanted)
        home.keys = {"unclaimed": made["api_key"]}
        identity = await self.call(made["api_key"], "GET", "/api/v1/identities/newcomer-agent")
        home.names = {
            "agent_handle": identity["agent_handle"],
            "identity_id": identity["id"],
            "email_address": identity["email_address"],
            "mailbox_id": identity["mailbox"]["id"],
            "human_email": human,
            "tunnel_id": identity["tunnel"]["id"],
            "organization_id": made["organization_id"],
            "code": (await self.call("", "GET", "/_sandbox/signup-codes", email=human))["code"],
        }
        path, change = "/api/v1/identities/newcomer-agent", {"imessage_enabled": True}
        await self.call(made["api_key"], "PATCH", path, change)
        await self._mail(home)
        return home

    async def dead_keys(self, admin: str) -> dict[str, str]:
        """A key of an agent that was deleted, and one that has expired."""
        keys = {}
        for state in ("revoked", "expired"):
            identity = await self.call(
                admin, "POST", "/api/v1/identities/", {"agent_handle": f"{state}-agent"}
            )
            body = {"label": state, "scoped_identity_id": identity["id"]}
            keys[state] = (await self.call(admin, "POST", "/api/v1/api-keys", body))["api_key"]
        await self.call(admin, "DELETE", "/api/v1/identities/revoked-agent")
        key_id, now = keys["expired"].partition(".")[0], self.sandbox.clock.now()
        await self.sandbox.store.run(lambda tx: tx.update("api_keys", key_id, expires_at=now))
        return keys


def _key(home: Household) -> str:
    return home.keys.get("agent") or home.keys["unclaimed"]


def _key_material(auth_hash: str, key_type: str) -> JSON:
    return {
        "id": str(uuid.uuid4()),
        "wrapped_org_encryption_key": f"wrapped-{auth_hash}",
        "auth_hash": auth_hash,
        "key_type": key_type,
    }


def _csr(public_host: str) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, public_host)])
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()
