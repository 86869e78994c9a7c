"""A valid request for every operation of the specification, about the things of one household."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from inkbox_async.operation import Operation

from .population import Household

JSON = Any  # Any: JSON values of every type
Fields = Callable[[Household], JSON]

NEW_PERSON = "+15550109999"
RULE_IDS = {
    "mail_contact_rules": "mail_rule_id",
    "phone_contact_rules": "phone_rule_id",
    "imessage_contact_rules": "imessage_rule_id",
}
_VCARD = b"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Somebody New\r\nEND:VCARD\r\n"
_FORM = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\nhello\r\n--x--\r\n"
)


@dataclass(frozen=True)
class Request:
    """What is sent, but for the key."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    content_type: str = "application/json"


def requests_for(operation: Operation, home: Household) -> list[Request]:
    """The request of `request_for`, and another one if the operation can point at more things."""
    request = request_for(operation, home)
    if operation.id not in POINTERS:
        return [request]
    return [request, replace(request, content=json.dumps(POINTERS[operation.id](home)).encode())]


def request_for(operation: Operation, home: Household) -> Request:
    """A request that the right key would be answered with success.

    Raises:
        KeyError: The operation takes a body and is in none of the tables below, or a thing that it is about
            is in no household: whoever adds an operation to the specification adds it here.
    """
    values = path_values(operation, home)
    path = re.sub(r"{(\w+)}", lambda match: values[match[1]], operation.path)
    query = QUERIES[operation.id](home) if operation.id in QUERIES else {}
    if operation.id in RAW:
        content, content_type = RAW[operation.id]
        return Request(operation.method, path, query, content, content_type)
    if operation.body is None:
        return Request(operation.method, path, query)
    return Request(operation.method, path, query, json.dumps(BODIES[operation.id](home)).encode())


def path_values(operation: Operation, home: Household) -> dict[str, str]:
    """What the path of an operation names, from one household."""
    resource = operation.id.rpartition(".")[0]
    wanted: dict[str, str] = {name: name for name in re.findall(r"{(\w+)}", operation.path)}
    if "rule_id" in wanted:
        wanted["rule_id"] = RULE_IDS[resource]
    if operation.id == "vault.delete_key":
        wanted["auth_hash"] = "recovery_hash"
    if operation.id == "domains.set_default" and "domain_name" not in home.names:
        return {"domain_name": "mail.nobody.example"}
    return {name: home[place] for name, place in wanted.items()}


def _mail(home: Household) -> JSON:
    return {"recipients": {"to": [_human(home)]}, "subject": "Hello", "body_text": "Hi"}


def _human(home: Household) -> str:
    return home.names.get("human_email", "new@example.com")


def _rule(_: Household) -> JSON:
    return {"action": "block", "match_target": NEW_PERSON}


def _identity(home: Household) -> JSON:
    return {"identity_id": home["viewer_identity_id"]}


def _vault_keys(_: Household) -> JSON:
    key = {"id": str(uuid.UUID(int=1)), "wrapped_org_encryption_key": "wrapped", "auth_hash": "ab" * 32}
    return {"vault_key": {**key, "key_type": "primary"}, "recovery_keys": []}


def _next_key(home: Household) -> JSON:
    key = {"id": str(uuid.UUID(int=1)), "wrapped_org_encryption_key": "wrapped", "auth_hash": "cd" * 32}
    return {**key, "current_auth_hash": home["auth_hash"]}


def _call(home: Household) -> JSON:
    url = "ws://127.0.0.1:9/"
    return {"to_number": NEW_PERSON, "from_number": home["number"], "client_websocket_url": url}


def _secret(_: Household) -> JSON:
    return {"name": "New", "secret_type": "login", "encrypted_payload": "sealed"}


def _subscription(home: Household) -> JSON:
    events = ["message.received"]
    return {"mailbox_id": home["mailbox_id"], "url": "http://127.0.0.1:9/new", "event_types": events}


def _person(home: Household) -> JSON:
    return {"from": home["remote_number"], "to": home["number"]}


BODIES: Mapping[str, Fields] = {
    "identities.create": lambda _: {"agent_handle": "new-agent"},
    "identities.update": lambda _: {"description": "new"},
    "identities.grant_access": lambda _: {"viewer_identity_id": None},
    "signing_keys.create_or_rotate_for": lambda _: {},
    "signing_keys.create_or_rotate": lambda _: {},
    "api_keys.create": lambda home: {"label": "new", "scoped_identity_id": home["identity_id"]},
    "signup.register": lambda _: {"human_email": "new@example.com", "note_to_human": "Hello"},
    "signup.verify": lambda home: {"verification_code": home.names.get("code", "000000")},
    "domains.set_default": lambda _: {},
    "mailboxes.update": lambda _: {"signature_enabled": False},
    "messages.send": _mail,
    "messages.update_flags": lambda _: {"is_starred": True},
    "messages.reply_all": lambda _: {"body_text": "Yes"},
    "messages.forward": lambda home: {"recipients": {"to": [_human(home)]}},
    "threads.update": lambda _: {"folder": "archive"},
    "mail_contact_rules.create": lambda _: {
        "action": "block",
        "match_type": "exact_email",
        "match_target": "new@example.com",
    },
    "mail_contact_rules.update": lambda _: {"status": "paused"},
    "phone_numbers.provision": lambda home: {
        "agent_handle": f"{home['agent_handle'].partition('-')[0]}-viewer"
    },
    "phone_numbers.update": lambda _: {"incoming_call_action": "auto_reject"},
    "calls.place": _call,
    "texts.send": lambda home: {"to": home["remote_number"], "text": "Hi"},
    "texts.update": lambda _: {"is_read": True},
    "texts.update_conversation": lambda _: {"is_read": True},
    "phone_contact_rules.create": _rule,
    "phone_contact_rules.update": lambda _: {"status": "paused"},
    "imessages.send": lambda home: {"conversation_id": home["conversation_id"], "text": "Hi"},
    "imessages.send_reaction": lambda home: {"message_id": home["imessage_id"], "reaction": "love"},
    "imessages.mark_conversation_read": lambda home: {"conversation_id": home["conversation_id"]},
    "imessages.send_typing": lambda home: {"conversation_id": home["conversation_id"]},
    "imessage_contact_rules.create": _rule,
    "imessage_contact_rules.update": lambda _: {"status": "paused"},
    "webhooks.subscriptions.create": _subscription,
    "webhooks.subscriptions.update": lambda _: {"event_types": ["message.sent"]},
    "vault.initialize": _vault_keys,
    "vault.update_key": _next_key,
    "vault.create_secret": _secret,
    "vault.update_secret": lambda _: {"name": "New name"},
    "vault.grant_access": _identity,
    "tunnels.update": lambda _: {"metadata": {"team": "new"}},
    "tunnels.sign_csr": lambda home: {"csr_pem": home["csr_pem"]},
    "contacts.create": lambda _: {"given_name": "New"},
    "contacts.update": lambda _: {"job_title": "new"},
    "contacts.access.grant": _identity,
    "notes.create": lambda _: {"body": "New"},
    "notes.update": lambda _: {"title": "new"},
    "notes.access.grant": _identity,
    "control.create_organization": lambda _: {},
    "control.update_organization": lambda _: {"customer_campaign": True},
    "control.send_email": lambda home: {"from": "new@example.com", "to": [home["email_address"]]},
    "control.send_text": lambda home: {**_person(home), "text": "Hi"},
    "control.send_imessage": lambda home: {"from": home["remote_number"], "text": "Hi"},
    "control.place_call": _person,
    "control.set_outcome": lambda _: {"channel": "mail", "to": "gone@example.com", "outcome": "bounced"},
    "control.add_domain": lambda _: {"domain": "new.example", "status": "verified"},
    "control.advance_clock": lambda _: {"advance_seconds": 1},
    "control.add_fault": lambda _: {"path": "/api/v1/notes", "status": 503},
}
"""What operations that take JSON are sent."""

POINTERS: Mapping[str, Fields] = {
    "identities.create": lambda home: {"agent_handle": "new-agent", "vault_secret_ids": [home["secret_id"]]},
    "contacts.create": lambda home: {
        "given_name": "New",
        "access_identity_ids": [home["viewer_identity_id"]],
    },
    "texts.send": lambda home: {"conversation_id": home["text_conversation_id"], "text": "Hi"},
    "calls.place": lambda home: {**_call(home), "agent_identity_id": home["identity_id"]},
    "identities.grant_access": lambda home: {"viewer_identity_id": home["viewer_identity_id"]},
}
"""Other bodies of operations, which point at more things."""

RAW: Mapping[str, tuple[bytes, str]] = {
    "contacts.vcards.import_vcards": (_VCARD, "text/vcard"),
    "imessages.upload_media": (_FORM, "multipart/form-data; boundary=x"),
}
"""What operations that take something else are sent, and its media type."""

QUERIES: Mapping[str, Callable[[Household], dict[str, str]]] = {
    "mailboxes.search": lambda home: {"q": home.marker},
    "phone_numbers.search_transcripts": lambda _: {"q": "hello"},
    "texts.search": lambda home: {"q": home.marker},
    "contacts.lookup": lambda home: {"email": f"{home.marker}@example.com"},
    "vault.unlock": lambda home: {"auth_hash": home["auth_hash"]} if "auth_hash" in home.names else {},
    "imessages.list": lambda home: {"agent_identity_id": home["identity_id"]},
    "imessages.list_assignments": lambda home: {"agent_identity_id": home["identity_id"]},
    "imessages.list_conversations": lambda home: {"agent_identity_id": home["identity_id"]},
    "calls.list": lambda home: {"agent_identity_id": home["identity_id"]},
    "notes.list": lambda home: {"q": home.marker},
    "contacts.list": lambda home: {"q": home.marker},
    "control.get_signup_code": lambda home: {"email": home.names.get("human_email", "nobody@example.com")},
}
"""Query parameters that are needed, or that point at things."""
