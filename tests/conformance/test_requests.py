"""Requests made up from the specification, right ones and wrong ones: no answer is outside of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    status_code_conformance,
)

from inkbox_async.operation import Operation
from inkbox_async.sandbox.server import specified_operations

from ..contract import Contract
from .conftest import Town
from .requests import RAW
from .specification import specification

SHARE = 20
"""A run takes a twentieth of the examples of the profile: 5, or 25 with `--hypothesis-profile=explore`."""


@dataclass
class Described:
    """The populated sandbox, and the two descriptions of it from which requests are made."""

    town: Town
    broadly: schemathesis.BaseSchema
    closely: schemathesis.BaseSchema


@pytest.fixture(scope="session")
def described(settled_town: Town) -> Described:
    home = settled_town.people.alice
    return Described(
        settled_town,
        broadly=schemathesis.openapi.from_dict(specification(home)),
        closely=schemathesis.openapi.from_dict(specification(home, only_known=True)),
    )


@pytest.fixture
def session(described: Described) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def name(operation: Operation) -> str:
    return operation.id


def has_input(operation: Operation) -> bool:
    """Whether there is anything in a request that could be wrong."""
    return bool("{" in operation.path or operation.query or operation.body or operation.id in RAW)


@dataclass
class Inquirer:
    """Sends made-up requests of one operation, each to the sandbox as it was at first."""

    described: Described
    session: requests.Session
    contract: Contract
    operation: Operation
    is_changed: bool = True

    def ask(self, schema: schemathesis.BaseSchema, mode: GenerationMode) -> None:
        """Send some requests. The first answer that is not as specified ends it."""
        strategy = schema[self.operation.path][self.operation.method].as_strategy(generation_mode=mode)
        check: Callable[[], None] = given(case=strategy)(self.send)
        run = settings(
            max_examples=max(1, settings().max_examples // SHARE),
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )(check)
        run()

    def send(self, case: schemathesis.Case[Any]) -> None:  # Any: an operation of whatever kind of schema
        town, people = self.described.town, self.described.town.people
        if self.is_changed:
            town.restore()
        key = people.alice.keys["admin"]
        if "admin" not in self.operation.callers:
            key = people.newcomer.keys["unclaimed"]
        response = case.call(
            town.sandbox.base_url,
            self.session,
            headers={"X-API-Key": key},
            allow_redirects=False,
        )
        # Refusals change nothing, except for wrong codes that are counted.
        self.is_changed = response.status_code < 400 or self.operation.id == "signup.verify"
        checks = [status_code_conformance, content_type_conformance, negative_data_rejection]
        case.validate_response(response, checks=checks)
        broken, self.contract.broken[:] = list(self.contract.broken), []
        assert not broken, (broken, case.as_curl_command())


@pytest.fixture
def inquirer(
    described: Described, session: requests.Session, contract: Contract, operation: Operation
) -> Inquirer:
    return Inquirer(described, session, contract, operation)


@pytest.mark.parametrize("operation", specified_operations(), ids=name)
def test_requests_as_specified_get_answers_as_specified(inquirer: Inquirer) -> None:
    inquirer.ask(inquirer.described.closely, GenerationMode.POSITIVE)
    inquirer.ask(inquirer.described.broadly, GenerationMode.POSITIVE)


@pytest.mark.parametrize("operation", [one for one in specified_operations() if has_input(one)], ids=name)
def test_requests_that_break_the_specification_are_refused(inquirer: Inquirer) -> None:
    inquirer.ask(inquirer.described.broadly, GenerationMode.NEGATIVE)
