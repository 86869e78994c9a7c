"""Who may call what: every operation of the specification with every kind of key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import aiohttp
import pytest

from inkbox_async.operation import Operation
from inkbox_async.sandbox.server import specified_operations

from ..contract import documents
from .conftest import Town
from .population import ORGANIZATION_NAMES, Household, Tables
from .requests import Request, request_for, requests_for

with_a_key = pytest.mark.parametrize(
    "operation",
    [operation for operation in specified_operations() if operation.area != "sandbox"],
    ids=lambda operation: operation.id,
)

OWN_ANSWERS: Mapping[tuple[str, str], int] = {
    ("calls.hangup", "*"): 409,  # the call has ended
    ("vault.initialize", "admin"): 409,  # there is a vault
    ("vault.grant_access", "agent"): 403,  # an agent gives access to itself, and to nobody else
    ("signup.verify", "agent"): 404,  # this agent has never signed up
    ("signup.resend", "agent"): 404,
    ("signup.status", "agent"): 404,
    **{(f"vault.{name}", "unclaimed"): 404 for name in ("info", "list_keys", "list_secrets", "unlock")},
    ("vault.create_secret", "unclaimed"): 404,  # a provisional organization has no vault
}
"""Where the right key gets another answer than that of success, because of how things stand."""

FOREIGN_ANSWERS: Mapping[tuple[str, str], int] = {
    ("calls.place", "*"): 403,  # a caller's number that is not the organization's
    ("vault.update_key", "*"): 403,  # not the vault's key
    ("signup.verify", "unclaimed"): 401,  # not the code
}
"""Where a request about things of another organization is not answered as if there were no such things."""

NEIGHBOUR_ANSWERS: Mapping[str, int] = {
    "calls.place": 403,
    "vault.get_secret": 403,  # which secrets there are is no secret among the agents of an organization
    "vault.update_secret": 403,
    "vault.delete_secret": 403,
    "vault.grant_access": 403,
    "vault.revoke_access": 403,
    "webhooks.subscriptions.create": 403,
    "vault.list_access_rules": 200,  # whoever unlocks the vault reads who may see what
}
"""The same among the agents of one organization."""

NAMED_IN_QUERY = (
    "calls.list",
    "imessages.list",
    "imessages.list_assignments",
    "imessages.list_conversations",
)
"""Where an agent's key may name no identity but its own in the query: 403. Others' are unknown to admins."""

OUTSIDE = frozenset({"remote_number", "receiver_number", "filename", "csr_pem"})
"""Names of what is nobody's."""

HARMLESS = (
    ("vault.unlock", "auth_hash"),  # a wrong one opens nothing
    ("vault.list_access_rules", "secret_id"),  # see above
    ("contacts.create", "viewer_identity_id"),  # an agent lets a neighbour see a contact of its own
)
"""Where an id of another agent, or of another organization's, is no mistake."""

SHARED = ("vault.list_access_rules",)
"""Where agents of one organization are told each other's ids."""


@dataclass
class Caller:
    """Sends requests with one key."""

    town: Town
    session: aiohttp.ClientSession

    async def send(
        self, request: Request, headers: Mapping[str, str], method: str | None = None
    ) -> tuple[int, str]:
        """Status and body of the answer."""
        sent = dict(headers)
        if request.content is not None:
            sent["Content-Type"] = request.content_type
        async with self.session.request(
            method or request.method,
            self.town.sandbox.base_url + request.path,
            params=request.query,
            data=request.content,
            headers=sent,
            allow_redirects=False,
        ) as response:
            return response.status, (await response.read()).decode("utf-8", "replace")


@pytest.fixture
def caller(town: Town, session: aiohttp.ClientSession) -> Caller:
    return Caller(town, session)


def test_the_matrix_holds_every_operation_of_the_specification() -> None:
    """An operation that is specified and not generated would not be seen by the tests below."""
    specified = {
        operation["operationId"]
        for file in documents().values()
        for item in file.get("paths", {}).values()
        for operation in item.values()
        if isinstance(operation, dict) and "operationId" in operation
    }
    assert specified == {operation.id for operation in specified_operations()}


@with_a_key
async def test_the_right_key_is_let_in(operation: Operation, caller: Caller) -> None:
    """So that the refusals below are known to be about the key, and not about the request."""
    people = caller.town.people
    kinds = {"admin": people.alice, "agent": people.alice, "unclaimed": people.newcomer}
    for kind, home in kinds.items():
        if kind not in operation.callers:
            continue
        try:
            request = request_for(operation, home)
        except KeyError:
            if kind != "unclaimed":
                raise
            continue  # what nobody gives to an agent before the claim
        expected = special(OWN_ANSWERS, operation, kind) or operation.status
        for headers in ({"X-API-Key": home.keys[kind]}, {"Authorization": f"Bearer {home.keys[kind]}"}):
            if operation.method != "GET":
                caller.town.restore()
            status, body = await caller.send(request, headers)
            assert status == expected, (kind, headers.keys(), body)


@with_a_key
async def test_no_key_and_bad_keys_are_refused(operation: Operation, caller: Caller) -> None:
    town = caller.town
    request = request_for(operation, town.people.alice)
    for name, headers in bad_keys(town).items():
        for method in (operation.method, "HEAD") if operation.method == "GET" else (operation.method,):
            status, body = await caller.send(request, headers, method)
            if "anyone" in operation.callers:
                assert status == operation.status, (name, body)
                town.restore()
                continue
            assert status == 401, (name, method, status, body)
            if method != "HEAD":
                assert set(json.loads(body)) == {"detail"}, (name, body)
    assert_unchanged(town)


@with_a_key
async def test_another_organization_sees_and_changes_nothing(operation: Operation, caller: Caller) -> None:
    town, people = caller.town, caller.town.people
    request = request_for(operation, people.alice)
    strangers = {
        "admin": people.zoe.keys["admin"],
        "agent": people.zoe.keys["agent"],
        "unclaimed": people.newcomer.keys["unclaimed"],
    }
    for kind, key in strangers.items():
        status, body = await caller.send(request, {"X-API-Key": key})
        if "anyone" in operation.callers:
            expected = operation.status
        elif kind not in operation.callers or (kind != "admin" and operation.id in NAMED_IN_QUERY):
            expected = 403
        elif is_about(operation, people.alice, people.zoe):
            expected = special(FOREIGN_ANSWERS, operation, kind) or 404
        else:  # about nothing in particular: whatever there is at home
            own = special(OWN_ANSWERS, operation, kind) or operation.status
            expected = special(FOREIGN_ANSWERS, operation, kind) or own
        assert status == expected, (kind, body)
        assert_tells_nothing_of(people.alice, request, body)
    assert_kept(town, people.zoe, people.newcomer)


@with_a_key
async def test_another_agent_sees_and_changes_nothing(operation: Operation, caller: Caller) -> None:
    town, people = caller.town, caller.town.people
    request = request_for(operation, people.alice)
    status, body = await caller.send(request, {"X-API-Key": people.bob.keys["agent"]})
    if "anyone" in operation.callers:
        expected = operation.status
    elif "agent" not in operation.callers or operation.id in NAMED_IN_QUERY:
        expected = 403
    elif is_about(operation, people.alice, people.bob):
        expected = NEIGHBOUR_ANSWERS.get(operation.id, 404)
    else:
        expected = special(OWN_ANSWERS, operation, "agent") or operation.status
    assert status == expected, body
    if operation.id not in SHARED:
        assert_tells_nothing_of(people.alice, request, body, ORGANIZATION_NAMES)
    assert_kept(town, people.bob)


@with_a_key
async def test_things_of_others_are_not_found_among_ones_own(operation: Operation, caller: Caller) -> None:
    """A request about one's own things, in which a single id is somebody else's."""
    town, people = caller.town, caller.town.people
    for kind, home in (("admin", people.zoe), ("agent", people.bob)):
        if kind not in operation.callers:
            continue
        for name in sorted(people.alice.names.keys() - OUTSIDE):
            mixed = replace(home, names={**home.names, name: people.alice[name]})
            own = requests_for(operation, home)
            for request in requests_for(operation, mixed):
                if people.alice[name] == home[name] or request in own:
                    continue
                status, body = await caller.send(request, {"X-API-Key": home.keys[kind]})
                if (operation.id, name) not in HARMLESS:
                    assert status in (403, 404), (kind, name, status, body)
                if operation.id not in SHARED:
                    assert_tells_nothing_of(people.alice, request, body, ORGANIZATION_NAMES)
    assert_kept(town, people.zoe, people.bob)


def special(answers: Mapping[tuple[str, str], int], operation: Operation, kind: str) -> int | None:
    """The status that one of the tables above has for this kind of key, or for any."""
    return answers.get((operation.id, kind), answers.get((operation.id, "*")))


def bad_keys(town: Town) -> dict[str, dict[str, str]]:
    """Headers that let nobody in."""
    good, agent = town.people.alice.keys["admin"], town.people.alice.keys["agent"]
    key_id, _, secret = good.partition(".")
    keys = {
        "empty": "",
        "malformed": "not-a-key",
        "no secret": key_id,
        "empty secret": f"{key_id}.",
        "wrong secret": f"{key_id}.{secret[::-1]}",
        "cut off": good[:-1],
        "longer": f"{good}x",
        "another's secret": f"{key_id}.{agent.partition('.')[2]}",
        "unknown": "ApiKey_00000000-0000-4000-8000-000000000000.secret",
        "quoting": f"{key_id}' OR '1'='1.{secret}",
        "not ASCII": f"{good}é",
        **town.people.dead_keys,
    }
    found = {name: {"X-API-Key": key} for name, key in keys.items()}
    found["none"] = {}
    found["wrong scheme"] = {"Authorization": f"Basic {good}"}
    found["no scheme"] = {"Authorization": good}
    found["bearer of nothing"] = {"Authorization": "Bearer "}
    found["revoked bearer"] = {"Authorization": f"Bearer {keys['revoked']}"}
    found["bad before good"] = {"X-API-Key": "not-a-key", "Authorization": f"Bearer {good}"}
    return found


def is_about(operation: Operation, one: Household, other: Household) -> bool:
    """Whether a request names things of a household, and is not just a search that may find nothing."""
    if operation.id in NAMED_IN_QUERY:
        return True
    mine, others = request_for(operation, one), request_for(operation, other)
    return (mine.path, mine.content) != (others.path, others.content) and operation.id not in BY_NUMBER


BY_NUMBER = ("sms_opt_ins.opt_in", "sms_opt_ins.opt_out")
"""Consent of a person outside, which every organization keeps for itself."""


def assert_tells_nothing_of(home: Household, request: Request, body: str, shared: Iterable[str] = ()) -> None:
    """The answer holds nothing of a household that was not in the request already."""
    sent = f"{request.path} {request.query} {request.content!r}"
    private = {home.marker, *(value for name, value in home.names.items() if name not in shared)}
    told = sorted(value for value in private if len(value) > 8 and value in body and value not in sent)
    assert not told, (told, body)


def assert_unchanged(town: Town) -> None:
    """Nothing whatever has been stored."""
    before, after = town.people.tables, town.tables()
    assert after == before, differing(before, after)


def assert_kept(town: Town, *callers: Household) -> None:
    """What was there is there as it was, but for things of the callers, who may have added some, too."""
    theirs = {caller["identity_id"] for caller in callers}
    after = town.tables()
    for table, rows in town.people.tables.items():
        lost = [row for row in set(rows) - set(after[table]) if theirs.isdisjoint(row)]
        assert not lost, (table, lost)


def differing(before: Tables, after: Tables) -> dict[str, list[tuple[object, ...]]]:
    """The rows that are in one of the two only, by table."""
    return {
        name: sorted(set(before[name]) ^ set(after[name]), key=repr)
        for name in before
        if before[name] != after[name]
    }
