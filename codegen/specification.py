"""The OpenAPI documents as plain data: areas, schemas and operations, with every reference named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

Node = dict[str, Any]  # Any: YAML of every shape

ROOTS = ("inkbox.yaml", "sandbox.yaml")
METHODS = ("get", "put", "post", "patch", "delete", "head")
WIRE_WORDS = {"null": "None", "(true)": "(True)", "(false)": "(False)"}
WIRE_WORD = re.compile(r"(?<![`\w])(null|\(true\)|\(false\))(?![`\w])")
COMPONENT = re.compile(r"^(?:\./)?(?P<file>[a-z0-9_]+\.yaml)?#/components/(?P<kind>\w+)/(?P<name>[\w.]+)$")


class SpecificationError(Exception):
    """The specification says something the generator cannot follow; the message names the place."""


@dataclass(frozen=True)
class Schema:
    """A named schema and the area that owns it."""

    name: str
    area: str
    node: Node


@dataclass(frozen=True)
class Parameter:
    """A path, query or header parameter of an operation."""

    name: str
    where: str
    required: bool
    node: Node
    schema: Node
    area: str


@dataclass(frozen=True)
class Operation:
    """One operation with its parameters, body and answer resolved to named schemas."""

    id: str
    method: str
    path: str
    area: str
    node: Node
    parameters: tuple[Parameter, ...]
    status: int
    answer: Node | None
    answer_media: str
    body: Node | None
    body_media: str
    body_required: bool
    errors: tuple[tuple[int, Node], ...]

    @property
    def resource(self) -> str:
        """Dotted attribute path of the resource on the client."""
        return self.id.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Name of the generated method."""
        return self.id.rpartition(".")[2]


@dataclass(frozen=True)
class Area:
    """One file of the specification."""

    name: str
    resources: Mapping[str, Node]
    operations: list[Operation] = field(default_factory=list)


class Specification:
    """Everything under one folder of OpenAPI documents."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Node] = {}
        self.areas: dict[str, Area] = {}
        self.schemas: dict[str, Schema] = {}
        for root in ROOTS:
            if (folder / root).exists():
                self._read_root(root)
        for name in sorted(self._files):
            self._collect_schemas(name)

    def operations(self) -> Iterator[Operation]:
        """Every operation, area by area, in the order of the files."""
        for area in self.areas.values():
            yield from area.operations

    def schema(self, reference: str, area: str) -> Schema:
        """The named schema behind a `$ref` written in a file of `area`."""
        file, kind, name = self._split(reference, area)
        if kind != "schemas":
            raise SpecificationError(f"{area}.yaml: {reference} does not name a schema")
        try:
            return self.schemas[name]
        except KeyError:
            raise SpecificationError(f"{area}.yaml: {reference} names no schema of {file}") from None

    def typed_dicts(self) -> dict[str, dict[str, str]]:
        """The documented names of raw JSON types and the schemas they stand for, by area."""
        return {
            file.removesuffix(".yaml"): document["x-typed-dicts"]
            for file, document in sorted(self._files.items())
            if "x-typed-dicts" in document
        }

    @cached_property
    def requests(self) -> frozenset[str]:
        """Names of the schemas that only clients send: reachable from a request body and from no answer."""
        sent: set[str] = set()
        answered: set[str] = set()
        for operation in self.operations():
            if operation.body is not None:
                self._reach(operation.body, operation.area, sent)
            if operation.answer is not None:
                self._reach(operation.answer, operation.area, answered)
        return frozenset(sent - answered)

    def _read_root(self, root: str) -> None:
        document = self._load(root)
        for path, item in document.get("paths", {}).items():
            reference = item.get("$ref")
            if reference is None:
                file, node = root, item
            else:
                file, _, pointer = reference.removeprefix("./").partition("#/paths/")
                node = self._load(file).get("paths", {}).get(pointer.replace("~1", "/").replace("~0", "~"))
                if node is None:
                    raise SpecificationError(f"{root}: {reference} leads nowhere")
            area = self._area(file)
            for method in METHODS:
                if method in node:
                    area.operations.append(self._operation(area.name, path, method, node, node[method]))

    def _area(self, file: str) -> Area:
        name = file.removesuffix(".yaml")
        if name not in self.areas:
            self.areas[name] = Area(name, self._load(file).get("x-resources", {}))
        return self.areas[name]

    def _operation(self, area: str, path: str, method: str, item: Node, node: Node) -> Operation:
        place = f"{area}.yaml: {method.upper()} {path}"
        if "operationId" not in node:
            raise SpecificationError(f"{place} has no operationId")
        parameters = [
            self._parameter(p, area) for p in (*item.get("parameters", ()), *node.get("parameters", ()))
        ]
        in_path = re.findall(r"{(\w+)}", path)
        declared = [p.name for p in parameters if p.where == "path"]
        if sorted(in_path) != sorted(declared):
            raise SpecificationError(f"{place}: path parameters {in_path} are declared as {declared}")
        parameters.sort(key=lambda p: in_path.index(p.name) if p.where == "path" else len(in_path))
        success: tuple[int, Node] | None = None
        errors: list[tuple[int, Node]] = []
        for code, response in node.get("responses", {}).items():
            response = self._component(response, area)
            if not str(code).isdigit():
                continue
            if int(code) < 400:
                success = success or (int(code), response)
            else:
                errors.append((int(code), response))
        if success is None:
            raise SpecificationError(f"{place} has no success answer")
        answer_media, answer = _content(success[1])
        body = node.get("requestBody")
        body = self._component(body, area) if body else None
        body_media, body_schema = _content(body) if body else ("application/json", None)
        return Operation(
            id=node["operationId"],
            method=method.upper(),
            path=path,
            area=area,
            node=node,
            parameters=tuple(parameters),
            status=success[0],
            answer=answer,
            answer_media=answer_media,
            body=body_schema,
            body_media=body_media,
            body_required=bool(body and body.get("required")),
            errors=tuple(errors),
        )

    def _parameter(self, node: Node, area: str) -> Parameter:
        owner = area
        if "$ref" in node:
            owner = self._split(node["$ref"], area)[0].removesuffix(".yaml")
            node = self._component(node, area)
        return Parameter(
            node["name"], node["in"], bool(node.get("required")), node, node.get("schema", {}), owner
        )

    def _component(self, node: Node, area: str) -> Node:
        """Follow a `$ref` to a shared parameter, request body or response."""
        if "$ref" not in node:
            return node
        file, kind, name = self._split(node["$ref"], area)
        found = self._load(file).get("components", {}).get(kind, {}).get(name)
        if found is None:
            raise SpecificationError(f"{area}.yaml: {node['$ref']} leads nowhere")
        return dict(found)

    def _split(self, reference: str, area: str) -> tuple[str, str, str]:
        match = COMPONENT.match(reference)
        if match is None:
            raise SpecificationError(f"{area}.yaml: cannot follow {reference}")
        file = match["file"] or f"{area}.yaml"
        self._load(file)
        return file, match["kind"], match["name"]

    def _load(self, file: str) -> Node:
        if file not in self._files:
            path = self.folder / file
            if not path.exists():
                raise SpecificationError(f"{path} does not exist")
            self._files[file] = _in_python(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
            # What this file refers to must be known, too, before its schemas are named.
            for reference in _references(self._files[file]):
                other = reference.removeprefix("./").partition("#")[0]
                if other:
                    self._load(other)
        return self._files[file]

    def _collect_schemas(self, file: str) -> None:
        area = file.removesuffix(".yaml")
        for name, node in self._files[file].get("components", {}).get("schemas", {}).items():
            if name in self.schemas:
                raise SpecificationError(
                    f"schema {name} stands in {area}.yaml and {self.schemas[name].area}.yaml"
                )
            self.schemas[name] = Schema(name, area, node)

    def _reach(self, node: object, area: str, reached: set[str]) -> None:
        for reference in _references(node):
            if COMPONENT.match(reference) and "/schemas/" in reference:
                schema = self.schema(reference, area)
                if schema.name not in reached:
                    reached.add(schema.name)
                    self._reach(schema.node, schema.area, reached)


def _content(node: Node) -> tuple[str, Node | None]:
    for media, content in node.get("content", {}).items():
        return media, content.get("schema")
    return "application/json", None


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            elif key not in ("example", "examples"):
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _in_python(node: Any) -> Any:  # Any: YAML of every shape
    """The same with descriptions in the words of Python: what is null on the wire is None to the reader."""
    if isinstance(node, list):
        return [_in_python(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: WIRE_WORD.sub(lambda word: WIRE_WORDS[word[0]], value)
        if key in ("description", "summary") and isinstance(value, str)
        else _in_python(value)
        for key, value in node.items()
    }
