"""For the same call, our client sends what the published client sends: method, path, query and body."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from types import GeneratorType
from typing import Any

import inkbox as published
import inkbox.exceptions
import pytest
import pytest_asyncio

import inkbox_async
from inkbox_async import AsyncInkbox
from inkbox_async.paging import AsyncPages

from .calls import BUNDLE, CLIENT_AREAS, HELPERS, IDENTITY, TWO, UNLOCKED, VAULT, VAULT_KEY, Call, Sdk
from .recorder import Recorder, Request

KEY = "ApiKey_11111111-2222-4333-8444-555555555555.secret"


@pytest_asyncio.fixture
async def recorder() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    recorder.answers["GET /api/v1/identities/sales-agent"] = IDENTITY
    recorder.answers["GET /api/whoami"] = {
        "auth_type": "api_key",
        "organization_id": IDENTITY["organization_id"],
    }
    await recorder.start()
    yield recorder
    await recorder.stop()


@pytest.fixture
def vault(recorder: Recorder) -> Recorder:
    """A recorder that has the vault of the vectors."""
    recorder.answers |= {
        "GET /api/v1/vault/info": BUNDLE["info_response"],
        "GET /api/v1/vault/keys": BUNDLE["keys_response"],
        "GET /api/v1/vault/unlock": {
            "wrapped_org_encryption_key": BUNDLE["primary"]["wrapped_org_encryption_key"],
            "encrypted_secrets": BUNDLE["encrypted_secrets"],
        },
    }
    for secret in BUNDLE["encrypted_secrets"]:
        recorder.answers[f"GET /api/v1/vault/secrets/{secret['id']}"] = secret
        recorder.answers[f"GET /api/v1/vault/secrets/{secret['id']}/access"] = []
    return recorder


def their_target(client: Sdk, what: str) -> Any:  # Any: whatever the calls of a table are made on
    match what:
        case "identity":
            return client.get_identity("sales-agent")
        case "unlocked":
            return client.vault.unlock(VAULT_KEY)
    return client


async def our_target(client: AsyncInkbox, what: str) -> Any:  # Any: whatever the calls of a table are made on
    found = their_target(client, what)
    return found if found is client else await found


async def requests_of_both(
    recorder: Recorder, calls: dict[str, Call], target: str = "client"
) -> list[tuple[str, list[Request], list[Request]]]:
    """The name of each call, what the published client sends for it, and what ours sends."""
    theirs: dict[str, list[Request]] = {}
    ours: dict[str, list[Request]] = {}

    def run_theirs() -> None:
        with published.Inkbox(api_key=KEY, base_url=recorder.base_url) as client:
            subject = their_target(client, target)
            for name, call in calls.items():
                recorder.requests.clear()
                with suppress(inkbox.exceptions.InkboxAPIError):
                    result = call(subject, published)
                    if isinstance(result, GeneratorType):
                        list(result)
                theirs[name] = [*recorder.requests]
                assert theirs[name], f"the published client sent nothing for {name!r}"

    await asyncio.to_thread(run_theirs)
    async with AsyncInkbox(KEY, base_url=recorder.base_url) as client:
        subject = await our_target(client, target)
        for name, call in calls.items():
            recorder.requests.clear()
            with suppress(inkbox_async.InkboxAPIError):
                result = call(subject, inkbox_async)
                if isinstance(result, AsyncPages):
                    async for _ in result:
                        pass
                else:
                    await result
            ours[name] = [*recorder.requests]
    return [(name, theirs[name], ours[name]) for name in calls]


def check_same(found: list[tuple[str, list[Request], list[Request]]]) -> None:
    different = [
        f"{name}\n  theirs: {shape(theirs)}\n  ours:   {shape(ours)}"
        for name, theirs, ours in found
        if shape(theirs) != shape(ours)
    ]
    assert not different, "\n".join(different)


def shape(requests: list[Request]) -> list[str]:
    """Requests without what is random: fresh ids of version 4, verifiers, sealed data of some length."""
    found = []
    for request in requests:
        said = str(request)
        if request.path.startswith("/api/v1/vault/"):
            said = re.sub(r'"id": "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f-]{21}"', '"id": "<id>"', said)
        said = re.sub(r'"[0-9a-f]{64}"', '"<verifier>"', said)
        said = re.sub(r'"[A-Za-z0-9+/]{38,}={0,2}"', lambda match: f'"<sealed {len(match[0])}>"', said)
        found.append(said)
    return found


@pytest.mark.parametrize("area", CLIENT_AREAS)
async def test_resources(recorder: Recorder, area: str) -> None:
    check_same(await requests_of_both(recorder, CLIENT_AREAS[area]))


async def test_identities(recorder: Recorder) -> None:
    check_same(await requests_of_both(recorder, HELPERS, "identity"))


async def test_the_locked_vault(recorder: Recorder) -> None:
    check_same(await requests_of_both(recorder, VAULT))


async def test_unlocking(vault: Recorder) -> None:
    calls: dict[str, Call] = {
        "unlock": lambda c, _: c.vault.unlock(VAULT_KEY),
        "unlock for an identity": lambda c, _: c.vault.unlock(VAULT_KEY, identity_id=TWO),
        "update_key": lambda c, _: c.vault.update_key("Next-Vault-key-02?", current_vault_key=VAULT_KEY),
    }
    found = await requests_of_both(vault, calls)
    # Ours asks for the access of several secrets at once.
    check_same([(name, sorted(theirs, key=str), sorted(ours, key=str)) for name, theirs, ours in found])


async def test_the_unlocked_vault(vault: Recorder) -> None:
    found = await requests_of_both(vault, UNLOCKED, "unlocked")
    # Before a change the published client fetches the secret once or twice more than it needs.
    check_same(
        [(name, without_repeated_reads(theirs), without_repeated_reads(ours)) for name, theirs, ours in found]
    )


def without_repeated_reads(requests: list[Request]) -> list[Request]:
    changes = [request for request in requests if request.method != "GET"]
    return changes or requests
