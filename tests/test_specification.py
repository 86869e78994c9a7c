"""Tests of the specification itself: that it is valid, complete, and true to its own examples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from openapi_spec_validator.readers import read_from_filename
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from inkbox_async import errors
from inkbox_async.modeling import InkboxModel

Node = dict[str, Any]  # Any: YAML of every shape

REPOSITORY = Path(__file__).parent.parent
FOLDER = REPOSITORY / "openapi"
ROOTS = ("inkbox", "sandbox")
AREAS = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem != "inkbox")
METHODS = ("get", "put", "post", "patch", "delete")
TIERS = ("S", "4", "C", "R")
CALLERS = {"admin", "agent", "unclaimed", "anyone"}
BASE = "https://inkbox.test/"


class OneKeyLoader(yaml.SafeLoader):
    """Reads YAML and refuses a mapping that has a key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"{node.start_mark}: {twice} stands twice")
        return super().construct_mapping(node, deep)


@cache
def read(area: str) -> Node:
    """A file of the specification."""
    document = yaml.load((FOLDER / f"{area}.yaml").read_text(encoding="utf-8"), OneKeyLoader)
    assert isinstance(document, dict)
    return document


@cache
def registry() -> Registry[bool | Mapping[str, Any]]:
    """Every file under a made-up address, for references between them."""
    found: Registry[bool | Mapping[str, Any]] = Registry()
    return found.with_resources(
        (f"{BASE}{name}.yaml", DRAFT202012.create_resource(read(name))) for name in (*AREAS, "inkbox")
    )


def pointer(*keys: str | int) -> str:
    """A JSON pointer as the fragment of a URI."""
    return "#" + "".join("/" + quote(str(k).replace("~", "~0").replace("/", "~1")) for k in keys)


def complaints(area: str, place: tuple[str | int, ...], value: object) -> list[str]:
    """What the schema at a place of a file has against a value."""
    schema = {"$ref": f"{BASE}{area}.yaml{pointer(*place)}"}
    validator = Draft202012Validator(
        schema, registry=registry(), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(value)]


class Place(NamedTuple):
    """A node of the specification and the way to it."""

    area: str
    keys: tuple[str | int, ...]
    node: Node


def walk(area: str, node: object, keys: tuple[str | int, ...] = ()) -> Iterator[Place]:
    """Every mapping of a file, except inside examples."""
    if isinstance(node, dict):
        yield Place(area, keys, node)
        for key, value in node.items():
            if key not in ("example", "examples", "default"):
                yield from walk(area, value, (*keys, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(area, value, (*keys, index))


def operations() -> Iterator[Place]:
    for area in AREAS:
        for path, item in read(area).get("paths", {}).items():
            for method in METHODS:
                if method in item:
                    yield Place(area, ("paths", path, method), item[method])


def schemas() -> Iterator[Place]:
    for area in AREAS:
        for name, node in read(area).get("components", {}).get("schemas", {}).items():
            yield Place(area, ("components", "schemas", name), node)


def properties() -> Iterator[Place]:
    for area in AREAS:
        for place in walk(area, read(area)):
            if len(place.keys) > 1 and place.keys[-2] == "properties" and "schemas" in place.keys:
                yield place


def label(value: object) -> str | None:
    """How a case is called in the output of pytest: `mail.yaml: messages.send`."""
    if not isinstance(value, Place):
        return None
    what = value.node.get("operationId") or "/".join(str(key) for key in value.keys[-3:])
    return f"{value.area}.yaml: {what}"


def successes(operation: Node) -> dict[str, Node]:
    return {code: answer for code, answer in operation["responses"].items() if code.startswith("2")}


every_operation = pytest.mark.parametrize("place", list(operations()), ids=label)
every_schema = pytest.mark.parametrize("place", list(schemas()), ids=label)


@pytest.mark.parametrize("root", ROOTS)
def test_it_is_valid_openapi(root: str) -> None:
    document, uri = read_from_filename(str(FOLDER / f"{root}.yaml"))
    validate(document, base_uri=uri)


@pytest.mark.parametrize("area", [area for area in AREAS if area not in ROOTS])
def test_the_root_lists_the_paths_of_every_area(area: str) -> None:
    listed = {
        path for path, item in read("inkbox")["paths"].items() if item["$ref"].startswith(f"./{area}.yaml#")
    }
    assert listed == set(read(area).get("paths", {})), f"inkbox.yaml and {area}.yaml name different paths"


def test_the_root_refers_to_each_path_under_its_own_name() -> None:
    for path, item in read("inkbox")["paths"].items():
        assert item["$ref"].partition("#/paths/")[2] == path.replace("/", "~1")


class TestOperations:
    def test_ids_are_unique(self) -> None:
        ids = [place.node["operationId"] for place in operations()]
        assert {i for i in ids if ids.count(i) > 1} == set()

    @every_operation
    def test_it_is_named_and_summed_up(self, place: Place) -> None:
        operation = place.node
        assert re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)+", operation["operationId"])
        assert re.fullmatch(r"[A-Z].*\.", operation["summary"], re.DOTALL), "a summary is a sentence"
        assert operation["tags"], "an operation belongs to a group"

    @every_operation
    def test_its_resource_is_described(self, place: Place) -> None:
        resource = place.node["operationId"].rpartition(".")[0]
        resources = read(place.area).get("x-resources")
        if place.area == "sandbox":
            assert resources is None, "the control API has no classes in the client"
        else:
            assert resources, f"{place.area}.yaml has no x-resources"
            assert resources[resource]["class"].endswith("Resource")
            assert resources[resource]["description"]

    @every_operation
    def test_it_says_how_old_it_is_and_who_may_call(self, place: Place) -> None:
        operation = place.node
        assert operation["x-tier"] in TIERS
        assert operation["x-callers"], "nobody may call it"
        assert set(operation["x-callers"]) <= CALLERS
        assert operation.get("deprecated", False) is (operation["x-tier"] == "R"), (
            "tier R and only tier R is deprecated"
        )

    @every_operation
    def test_it_has_one_success_answer_with_an_example(self, place: Place) -> None:
        answers = successes(place.node)
        assert len(answers) == 1
        for code, answer in answers.items():
            assert answer["description"]
            if code == "204":
                assert "content" not in answer
                continue
            assert answer["content"], f"{code} has no content"
            for media, content in answer["content"].items():
                assert "example" in content, f"{code} {media} has no example"

    @every_operation
    def test_its_error_answers_are_those_of_all_areas(self, place: Place) -> None:
        codes = {code: answer for code, answer in place.node["responses"].items() if code >= "400"}
        assert codes, "every operation can be refused"
        for code, answer in codes.items():
            assert answer["$ref"].startswith("./common.yaml#/components/responses/"), code
        if "anyone" not in place.node["x-callers"]:
            assert "401" in codes, "a key can be wrong"

    @every_operation
    def test_its_parameters_and_body_are_described(self, place: Place) -> None:
        item = read(place.area)["paths"][place.keys[1]]
        for parameter in (*item.get("parameters", ()), *place.node.get("parameters", ())):
            if "$ref" not in parameter:
                assert parameter["description"], parameter["name"]
        for media, content in place.node.get("requestBody", {}).get("content", {}).items():
            if media != "application/json":
                continue
            assert "$ref" in content["schema"], "a body is a named schema"
            shown = "example" in content or "example" in follow(place.area, content["schema"])
            assert shown, "the body has no example"

    @every_operation
    def test_a_body_or_query_can_be_refused_for_its_content(self, place: Place) -> None:
        item = read(place.area)["paths"][place.keys[1]]
        everything = (*item.get("parameters", ()), *place.node.get("parameters", ()))
        resolved = [follow(place.area, parameter) for parameter in everything]
        typed = any(
            parameter["in"] == "query" or parameter["schema"].get("format", "string") != "string"
            for parameter in resolved
        )
        if "requestBody" in place.node or typed:
            assert "422" in place.node["responses"]


def follow(area: str, node: Node) -> Node:
    """The node itself, or the component that it refers to."""
    if "$ref" not in node:
        return node
    file, _, where = node["$ref"].partition("#/components/")
    kind, _, name = where.partition("/")
    found = read(Path(file).stem if file else area)["components"][kind][name]
    assert isinstance(found, dict)
    return found


class TestSchemas:
    def test_names_are_unique(self) -> None:
        names = [str(place.keys[-1]) for place in schemas()]
        assert {name for name in names if names.count(name) > 1} == set()

    @every_schema
    def test_it_is_described(self, place: Place) -> None:
        assert re.fullmatch(r"[A-Z`].*\.", place.node["description"], re.DOTALL), (
            "a description is a sentence"
        )

    @pytest.mark.parametrize("place", list(properties()), ids=label)
    def test_a_property_is_described(self, place: Place) -> None:
        assert place.node.get("description"), f"{'/'.join(map(str, place.keys))} has no description"

    @pytest.mark.parametrize(
        "place", [p for area in AREAS for p in walk(area, read(area)) if "enum" in p.node], ids=label
    )
    def test_every_value_of_an_enum_is_explained(self, place: Place) -> None:
        description = enclosing_description(place)
        told = set(re.findall(r"`([^`]+)`", description))
        for other in schemas():
            if other.keys[-1] in told:
                told |= set(other.node.get("enum", ()))
        untold = {value for value in place.node["enum"] if value is not None} - told
        assert not untold, f"the description names neither {untold} nor an enum that explains them"

    @every_schema
    def test_what_is_required_exists(self, place: Place) -> None:
        known = set(place.node.get("properties", {}))
        assert set(place.node.get("required", ())) <= known

    @every_schema
    def test_defaults_are_values_of_their_properties(self, place: Place) -> None:
        for name, node in place.node.get("properties", {}).items():
            if "default" in node:
                assert not complaints(place.area, (*place.keys, "properties", name), node["default"]), name

    @every_schema
    def test_its_base_is_a_model(self, place: Place) -> None:
        if base := place.node.get("x-base"):
            module, _, name = base.rpartition(".")
            assert issubclass(getattr(import_module(module), name), InkboxModel)


def enclosing_description(place: Place) -> str:
    """The description of a node, or of the nearest one around it: alternatives are explained together."""
    node: Any = read(place.area)  # Any: YAML of every shape
    description = ""
    for key in place.keys:
        node = node[key]
        if isinstance(node, dict):
            description = node.get("description", description)
    return description


class TestExamples:
    @pytest.mark.parametrize("place", [p for p in schemas() if "example" in p.node], ids=label)
    def test_the_example_of_a_schema_is_one(self, place: Place) -> None:
        assert complaints(place.area, place.keys, place.node["example"]) == []

    @pytest.mark.parametrize(
        "place",
        [p for area in AREAS for p in walk(area, read(area)) if "schema" in p.node and "example" in p.node],
        ids=label,
    )
    def test_bodies_answers_and_parameters_match_their_schema(self, place: Place) -> None:
        assert complaints(place.area, (*place.keys, "schema"), place.node["example"]) == []


class TestExtensions:
    def test_every_extension_is_explained(self) -> None:
        explained = (REPOSITORY / "codegen" / "README.md").read_text(encoding="utf-8")
        used = {
            key for area in AREAS for p in walk(area, read(area)) for key in p.node if key.startswith("x-")
        }
        unexplained = {key for key in used if f"`{key}" not in explained}
        assert unexplained == set(), "codegen/README.md does not explain them"

    def test_error_answers_name_exceptions_that_there_are(self) -> None:
        for name, answer in read("common")["components"]["responses"].items():
            raised = getattr(errors, answer.get("x-raises", "InkboxAPIError"))
            assert issubclass(raised, errors.InkboxAPIError), name
