"""Every name of the official package's top level can be imported from here."""

from __future__ import annotations

import importlib

import inkbox
import pytest

import inkbox_async

OWN = {"Inkbox": "AsyncInkbox"}


@pytest.mark.parametrize("name", sorted(inkbox.__all__))
def test_a_name_of_the_official_package_exists(name: str) -> None:
    assert getattr(inkbox_async, OWN.get(name, name)) is not None


def test_modules_that_the_documents_import_from_exist() -> None:
    for module in ("vault.totp", "vault.types", "webhooks"):
        importlib.import_module(f"inkbox_async.{module}")


def test_a_name_that_does_not_exist_says_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        getattr(inkbox_async, "Nonsense")  # noqa: B009


def test_dir_lists_what_can_be_imported() -> None:
    for name in dir(inkbox_async):
        assert hasattr(inkbox_async, name), name
