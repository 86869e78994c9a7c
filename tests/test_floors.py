"""The floors of the house: rooms import only from below, and importing the package is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "inkbox_async"

# From the ground up. A room is the longest prefix that matches; rooms of one floor may use each other.
FLOORS: list[tuple[str, ...]] = [
    (
        "unset",
        "modeling",
        "secrecy",
        "errors",
        "connector",
        "constants",
        "operation",
        "handles",
        "normalise",
        "generated.models",
    ),
    (
        "transport",
        "call",
        "deadlines",
        "direct",
        "encoding",
        "error_mapping",
        "observe",
        "paging",
        "pool",
        "query",
        "retry",
        "settings",
        "resource",
        "upload",
    ),
    ("generated.resources", "generated.identity"),
    ("resources", "vault", "tunnels", "webhooks"),
    ("identity",),
    ("client", "signup", "loading", "__main__"),
    ("pytest_plugin",),
]
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
SANDBOX_MAY_USE = (
    "sandbox",
    "modeling",
    "secrecy",
    "errors",
    "connector",
    "constants",
    "operation",
    "handles",
    "normalise",
    "generated.models",
    "generated.operations",
    "generated.queries",
    "webhooks.signature",
    "tunnels.protocol",
)


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def imports(name: str, path: Path, *, for_types: bool = False) -> Iterator[str]:
    """Modules of the package that a file imports when it runs, or also those it imports for types alone."""
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    package = [part for part in package if part]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if for_types else _running(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("inkbox_async."):
                    yield alias.name.removeprefix("inkbox_async.")
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                target = [*base, *(node.module.split(".") if node.module else [])]
            elif node.module and node.module.split(".")[0] == "inkbox_async":
                target = node.module.split(".")[1:]
            else:
                continue
            yield from (".".join([*target, alias.name]) for alias in node.names)


def _running(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _running(child)


def room(module: str, rooms: tuple[str, ...] | dict[str, int]) -> str | None:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (prefix := ".".join(parts[:length])) in rooms:
            return prefix
    return None


def test_rooms_import_only_from_floors_below() -> None:
    broken = []
    for name, path in modules():
        here = room(name, FLOOR_OF)
        if here is None:
            continue
        for target in imports(name, path):
            there = room(target, FLOOR_OF)
            if target.startswith("sandbox"):
                broken.append(f"{name} imports {target}: the SDK knows no sandbox")
            elif there is not None and FLOOR_OF[there] > FLOOR_OF[here]:
                broken.append(f"{name} (floor {FLOOR_OF[here]}) imports {target} (floor {FLOOR_OF[there]})")
    allowed = {"pytest_plugin imports sandbox.Sandbox: the SDK knows no sandbox"}
    assert [line for line in broken if line not in allowed and not line.startswith("pytest_plugin")] == []


def test_no_hand_written_modules_import_in_a_circle() -> None:
    names = {name for name, _ in modules() if not name.startswith("generated")}
    graph: dict[str, set[str]] = {name: set() for name in names}
    for name, path in modules():
        for target in imports(name, path, for_types=True) if name in names else ():
            while target and target not in names:
                target = target.rpartition(".")[0]
            if target and target != name:
                graph[name].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_the_sandbox_shares_only_models_signature_and_constants_with_the_sdk() -> None:
    broken = []
    for name, path in modules():
        if not name.startswith("sandbox"):
            continue
        for target in imports(name, path):
            if room(target, SANDBOX_MAY_USE) is None and target != "client.AsyncInkbox":
                broken.append(f"{name} imports {target}")
    assert broken == []


def test_every_hand_written_room_stands_on_a_floor() -> None:
    homeless = [
        name
        for name, _ in modules()
        if name and room(name, FLOOR_OF) is None and not name.startswith(("sandbox", "generated"))
    ]
    assert homeless == []


def loaded_by(statement: str) -> list[str]:
    """The modules that a fresh interpreter holds after a statement."""
    program = f"import sys; {statement}; print('\\n'.join(sorted(sys.modules)))"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.mark.parametrize("statement", ["import inkbox_async", "from inkbox_async import AsyncInkbox"])
def test_importing_the_package_loads_no_generated_model_and_no_heavy_room(statement: str) -> None:
    loaded = loaded_by(statement)
    heavy = (
        "inkbox_async.generated.models.",
        "inkbox_async.sandbox",
        "argon2",
        "cryptography",
        "jh2",
        "aiosmtpd",
    )
    assert [name for name in loaded if name.startswith(heavy)] == []


@pytest.mark.parametrize(
    "half",
    ["inkbox_async.tunnels.resource", "inkbox_async.tunnels.cli", "inkbox_async.vault.resource"],
)
def test_the_light_half_of_a_room_loads_nothing_heavy(half: str) -> None:
    heavy = ("argon2", "cryptography", "h11", "jh2", "wsproto")
    assert [name for name in loaded_by(f"import {half}") if name.partition(".")[0] in heavy] == []
