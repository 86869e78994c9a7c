"""Every field of the specification that looks like a secret is hidden, and so is every one added later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from inkbox_async.generated import models
from inkbox_async.generated.models.sandbox import SandboxSignupCode
from inkbox_async.sandbox.journal import redact
from inkbox_async.secrecy import SECRET, SECRET_FIELDS, is_address, is_secret

OPENAPI = Path(__file__).resolve().parents[2] / "openapi"
SUSPICIOUS = re.compile(
    r"secret|passw|passphrase|token|api_?key|private|signing_key|auth|verification|otp|seed|credential"
    r"|recovery|bearer|vault_key|encrypted|wrapped|proof|pin$|nonce|hash$"
)
HARMLESS = {
    "auth_subtype": "what kind of key it is",
    "auth_type": "what kind of key it is",
    "author": "who wrote a message",
    "encrypted_payload": "ciphertext, which only the vault key opens",
    "encrypted_secrets": "ciphertexts with their names",
    "has_auth_token": "whether there is one",
    "hosted_agent_authority_mode": "what a hosted agent may do",
    "recovery_key_count": "how many there are",
    "recovery_keys": "objects, whose own fields are looked at",
    "secret_count": "how many there are",
    "secret_id": "names a secret",
    "secret_type": "what kind of secret it is",
    "signing_key_configured": "whether there is one",
    "signing_key_created_at": "when it was made",
    "vault_key_id": "names a key",
    "vault_secret_id": "names a secret",
    "vault_secret_ids": "names secrets",
    "wrapped_org_encryption_key": "ciphertext, which only the vault key opens",
    "wrapped_org_encryption_keys": "ciphertexts",
}

CANARY = "canary-in-a-field"

Node = Any  # Any: YAML of every shape
Values = dict[str, Any]  # Any: values of every type


def properties(node: Node, schema: str = "") -> Iterator[tuple[str, str, Node]]:
    """Schema, name and node of every property, of every parameter likewise."""
    if isinstance(node, dict):
        for name, value in (node.get("properties") or {}).items():
            if isinstance(value, dict):
                yield schema, name, value
        if "in" in node and "name" in node:
            yield schema, str(node["name"]), node.get("schema", {})
        for key, value in node.items():
            yield from properties(value, key if key[:1].isupper() else schema)
    elif isinstance(node, list):
        for value in node:
            yield from properties(value, schema)


SPECIFIED = [
    (schema, name, node)
    for path in sorted(OPENAPI.glob("*.yaml"))
    for schema, name, node in properties(yaml.safe_load(path.read_text(encoding="utf-8")))
]
NAMES = {name for _, name, _ in SPECIFIED}


def test_every_name_that_looks_secret_is_hidden_or_known_to_be_harmless() -> None:
    looking = {name for name in NAMES if SUSPICIOUS.search(name.lower())}
    marked = {
        name for _, name, node in SPECIFIED if node.get("format") == "password" or node.get("writeOnly")
    }
    hidden = {name for name in looking if is_secret(name.replace("-", "_"))}
    assert (looking | marked) - hidden - set(HARMLESS) == set(), (
        "add these to SECRET_FIELDS (inkbox_async/secrecy.py), or say in HARMLESS why they are none"
    )
    assert len(hidden) > 8
    assert set(HARMLESS) - NAMES == set(), "these are specified no more"


def test_every_secret_field_is_specified() -> None:
    names = {field.rpartition(".")[2] for field in SECRET_FIELDS}
    assert names - NAMES == {"private_key"}, "private_key is kept for certificates: none is ever specified"


def test_every_address_is_known_as_one() -> None:
    looking = {
        name
        for _, name, node in SPECIFIED
        if node.get("format") in ("uri", "url") or re.search(r"(^|_)(ur[li]|link|href)s?$", name)
    }
    assert {name for name in looking if not is_address(name)} == set()
    assert len(looking) > 8


MODELS: list[type[BaseModel]] = [
    model
    for name in dir(models)
    if isinstance(model := getattr(models, name, None), type) and issubclass(model, BaseModel)
]


def test_no_model_shows_a_secret_field() -> None:
    fields = [
        (model, name, field.alias or name)
        for model in MODELS
        for name, field in model.model_fields.items()
        if is_secret(field.alias or name) and (field.alias or name) not in HARMLESS
    ]
    assert len(fields) > 10
    for model, name, _ in fields:
        values: Values = {name: CANARY}
        made = model.model_construct(**values)
        for text in (repr(made), str(made), f"{made}"):
            assert CANARY not in text, (model.__name__, name)
        assert getattr(made, name) == CANARY, "it is there for those who ask"


def test_no_model_shows_what_proves_a_right_to_an_address() -> None:
    fields = [(model, name) for model in MODELS for name in model.model_fields if is_address(name)]
    assert len(fields) > 10
    for model, name in fields:
        for address in (
            f"https://files.example/a?X-Signature={CANARY}&n=1",
            f"https://user:{CANARY}@files.example/a",
            f"wss://{CANARY}@agent.example/call#token={CANARY}",
            f"sip:agent:{CANARY}@pbx.example;transport=tls",
        ):
            for value in (address, [address]):
                values: Values = {name: value}
                assert CANARY not in repr(model.model_construct(**values)), (model.__name__, name)


@pytest.mark.parametrize("name", ["client_secret", "refresh_token", "db_password", "totp_seed", "otp"])
def test_fields_of_newer_servers_are_hidden_by_their_names(name: str) -> None:
    for model in MODELS[:3]:
        values: Values = {name: CANARY, "data": {name: CANARY}, "items": [{"deep": {name: CANARY}}]}
        assert CANARY not in repr(model.model_construct(**values))


def test_the_verification_code_is_shown_to_who_asks_for_it_only() -> None:
    code = SandboxSignupCode(code="123456")
    assert (code.code, repr(code)) == ("123456", f"SandboxSignupCode(code='{SECRET}')")


def test_the_journal_keeps_no_secret_field() -> None:
    secret_names = sorted({name for name in NAMES if is_secret(name)} - set(HARMLESS))
    body = dict.fromkeys(secret_names, CANARY)
    assert CANARY not in str(redact({**body, "nested": [{"inner": body}]}))
    assert CANARY not in str(
        redact({"url": f"https://{CANARY}@a.example", "media_urls": [f"http://a/?k={CANARY}"]})
    )
