"""Every name of the official package's top level can be imported from here."""

from __future__ import annotations

import ast
import importlib
import inspect

import inkbox
import pytest

import inkbox_async


@pytest.mark.parametrize("name", sorted(inkbox.__all__))
def test_a_name_of_the_official_package_exists(name: str) -> None:
    assert getattr(inkbox_async, name) is not None


def test_the_client_has_the_documents_name_as_well() -> None:
    assert inkbox_async.Inkbox is inkbox_async.AsyncInkbox


def test_modules_that_the_documents_import_from_exist() -> None:
    for module in ("vault.totp", "vault.types", "webhooks"):
        importlib.import_module(f"inkbox_async.{module}")


def test_a_name_that_does_not_exist_says_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        getattr(inkbox_async, "Nonsense")  # noqa: B009


def test_dir_lists_what_can_be_imported() -> None:
    for name in dir(inkbox_async):
        assert hasattr(inkbox_async, name), name


def test_a_star_import_brings_what_it_brings_from_the_official_package() -> None:
    names: dict[str, object] = {}
    exec("from inkbox_async import *", names)
    assert {*inkbox.__all__} <= {*names}


def test_type_checkers_see_every_name() -> None:
    """A name that only `__getattr__` knows is an `object` to them, and cannot be used as a type."""
    seen: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(inkbox_async))):
        if isinstance(node, ast.ImportFrom) and node.level:
            for alias in node.names:
                whole = dir(importlib.import_module(f"inkbox_async.{node.module}"))
                seen |= {*whole} if alias.name == "*" else {alias.asname or alias.name}
    assert {*dir(inkbox_async)} - {*vars(inkbox_async)} <= seen
