"""Types of public methods can be read at run time, as agent frameworks do to offer methods as tools."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, get_type_hints

import pytest

import inkbox_async
from inkbox_async import AgentIdentity, AsyncInkbox, AsyncPages, Credentials, TunnelListener, UnlockedVault
from inkbox_async.resource import Resource
from inkbox_async.webhooks.fastapi import WebhookReceiver

# Whoever imports the client has not asked for models yet: these rooms name classes that are imported later.
IMPORTED_LATER = ("inkbox_async.resources",)


def resource_classes() -> Iterator[type]:
    """Every class of resources, generated and hand-written."""
    for package in ("generated.resources", "resources", "tunnels", "vault"):
        path = [f"{inkbox_async.__path__[0]}/{package.replace('.', '/')}"]
        for module in walk_packages(path, f"inkbox_async.{package}."):
            import_module(module.name)
    found = [Resource]
    for kind in found:
        found += [heir for heir in kind.__subclasses__() if heir not in found]
    yield from found


def public_functions(kind: type) -> Iterator[Callable[..., Any]]:  # Any: functions of every kind
    """Methods and getters of a class, those it inherits included."""
    for name in dir(kind):
        member = inspect.getattr_static(kind, name)
        if isinstance(member, property):
            member = member.fget
        elif isinstance(member, functools.cached_property):
            member = member.func
        elif isinstance(member, (classmethod, staticmethod)):
            member = member.__func__
        public = not name.startswith("_") or name == "__call__"
        if public and inspect.isfunction(member) and member.__module__.startswith("inkbox_async"):
            yield member


@pytest.mark.parametrize(
    "kind",
    [
        AsyncInkbox,
        AgentIdentity,
        AsyncPages,
        TunnelListener,
        UnlockedVault,
        Credentials,
        WebhookReceiver,
        *resource_classes(),
    ],
    ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}".removeprefix("inkbox_async."),
)
def test_the_types_of_public_methods_can_be_read(kind: type) -> None:
    unreadable = {}
    for function in public_functions(kind):
        if function.__module__ in IMPORTED_LATER:
            continue
        try:
            get_type_hints(function, include_extras=True)
        except NameError as error:
            unreadable[function.__qualname__] = str(error)
    assert unreadable == {}, "import these names for real, not for the type checker alone"


def test_the_walk_sees_methods() -> None:
    assert {"place_call", "send_email", "get_secret"} <= {f.__name__ for f in public_functions(AgentIdentity)}
    assert len(list(resource_classes())) > 40
