"""Nothing that a client sends makes the sandbox fail: wrong values of every kind, to every operation."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest
from pydantic import BaseModel
from yarl import URL

from inkbox_async.operation import Operation
from inkbox_async.sandbox.requests import resolve
from inkbox_async.sandbox.server import missing_handlers, specified_operations

from .conftest import JSON, Api

ROUNDS = 15
NUMBERS = [-1, 0, 1, 1.5, 2**31, 2**63, 10**30]
TEXTS = [
    "",
    "a",
    "x" * 300,
    "\x00",
    "\u202e",
    "é" * 50,
    "*",
    "all",
    "a b",
    "<b>",
    "%00",
    "a\r\nBcc: x@y.example",
    "agent-one",
    "agent-one@inkboxmail.com",
    "ann@example.com",
    "+15550100400",
    "https://x.example",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59Z",
    "whitelist",
    "active",
    "blocked",
    "aGk=",
]
OTHERS: list[JSON] = [None, True, False, [], {}, [[]], {"a": 1}, ["a"]]
SEGMENTS = ["agent-one", "agent-one%40inkboxmail.com", "%00", "%ff", "..%2f", "x"]
SKIPPED = {"control.reset", "control.add_fault", "control.advance_clock"}


def anything(chance: random.Random) -> JSON:
    return chance.choice([*NUMBERS, *TEXTS, *OTHERS, str(uuid.UUID(int=chance.getrandbits(128)))])


def nearly(model: type[BaseModel], chance: random.Random, depth: int = 0) -> JSON:
    """An object with the right names and mostly wrong values."""
    made: dict[str, JSON] = {}
    for name, field in model.model_fields.items():
        if chance.random() > (0.9 if field.is_required() else 0.5):
            continue
        kind = str(field.annotation)
        inner = [
            part
            for part in (field.annotation, *getattr(field.annotation, "__args__", ()))
            if isinstance(part, type) and issubclass(part, BaseModel)
        ]
        if inner and depth < 3 and chance.random() < 0.8:
            value: JSON = nearly(inner[0], chance, depth + 1)
        elif "list" in kind and chance.random() < 0.7:
            value = [anything(chance) for _ in range(chance.randint(0, 3))]
        elif "str" in kind and chance.random() < 0.7:
            value = chance.choice(TEXTS)
        else:
            value = anything(chance)
        made[field.alias or name] = value
    return made


def request_for(operation: Operation, chance: random.Random) -> tuple[str, dict[str, str], dict[str, Any]]:
    path = operation.path
    for name, kind in operation.path_types.items():
        an_id = str(uuid.UUID(int=chance.getrandbits(128)))
        value = an_id if kind == "uuid" and chance.random() < 0.8 else chance.choice(SEGMENTS)
        path = path.replace(f"{{{name}}}", value)
    query = {}
    if operation.query is not None:
        query = {
            field.alias or name: str(anything(chance))
            for name, field in resolve(operation.query).model_fields.items()
            if chance.random() < 0.5
        }
    body = {}
    if operation.body is not None:
        model = resolve(operation.body)
        body["json"] = nearly(model, chance) if chance.random() < 0.9 else anything(chance)
    return path, query, body


@pytest.mark.parametrize("area", sorted({operation.area for operation in specified_operations()}))
async def test_no_request_is_the_servers_fault(admin: Api, area: str) -> None:
    chance = random.Random(area)
    missing = set(missing_handlers()) | SKIPPED
    operations = [o for o in specified_operations() if o.area == area and o.id not in missing]
    for _ in range(ROUNDS):
        await admin.call("POST", "/api/v1/identities/", {"agent_handle": "agent-one"})
        for operation in operations:
            path, query, body = request_for(operation, chance)
            url = URL(admin.sandbox.base_url + path, encoded=True)
            headers = {"X-API-Key": admin.key or ""}
            async with admin.session.request(
                operation.method, url, params=query, headers=headers, **body
            ) as response:
                text = await response.text()
                assert response.status < 500, (operation.id, path, query, body, text)
