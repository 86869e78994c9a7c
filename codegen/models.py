"""Models: hands the schemas to datamodel-code-generator, area by area, and finishes what it writes."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from .specification import Node, Operation, Specification, SpecificationError

WIDTH = 104
DOCSTRING = re.compile(r'^(?P<indent> *)(?P<raw>r?)"""(?P<text>.*?)"""$', flags=re.MULTILINE | re.DOTALL)
# Limits belong to requests: a newer server may outgrow them in its answers.
LIMITS = (
    "maxLength",
    "minLength",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "uniqueItems",
    "maxProperties",
    "minProperties",
    "multipleOf",
)
OPTIONS = (
    "--input-file-type=openapi",
    "--output-model-type=pydantic_v2.BaseModel",
    "--target-python-version=3.11",
    "--base-class=inkbox_async.modeling.InkboxModel",
    "--output-datetime-class=datetime",
    "--use-annotated",
    "--field-constraints",
    "--use-union-operator",
    "--use-standard-collections",
    "--use-schema-description",
    "--use-field-description",
    "--use-single-line-docstring",
    "--capitalise-enum-members",
    "--use-specialized-enum",
    "--set-default-enum-member",
    "--strict-nullable",
    "--collapse-root-models",
    "--disable-timestamp",
    # pydantic would compile and evaluate each annotation that is text: a quarter of a model's import time.
    "--disable-future-imports",
    "--use-double-quotes",
    "--formatters=builtin",
)


def query_model_name(operation: Operation) -> str:
    """Name of the model that holds an operation's query parameters: `MessagesListQuery`."""
    return "".join(part.title() for part in re.split(r"[._]", operation.id)) + "Query"


def render_models(specification: Specification) -> dict[str, str]:
    """The text of `models/<area>.py`, by area."""
    bundle: Node = {}
    attributes: dict[str, str] = {}
    extras: dict[str, dict[str, list[str]]] = {}
    unions: dict[str, list[str]] = {}
    for schema in specification.schemas.values():
        node = copy.deepcopy(schema.node)
        if _is_union(node):
            unions.setdefault(schema.area, []).append(_union(specification, schema.name, node, schema.area))
            continue
        request = schema.name in specification.requests
        fills = [
            name
            for name, value in node.get("properties", {}).items()
            if isinstance(value, dict) and value.get("x-null-default")
        ]
        if fills:
            extras.setdefault(schema.area, {})[schema.name] = fills
        for name, value in node.get("properties", {}).items():
            if attribute := value.get("x-attribute"):
                attributes[f"{schema.area}.{schema.name}.{name}"] = attribute
        if base := node.pop("x-base", None):
            node["customBasePath"] = base
        elif request and "enum" not in node:
            node["customBasePath"] = "inkbox_async.modeling.RequestModel"
        bundle[f"{schema.area}.{schema.name}"] = _prepare(
            node, specification, schema.area, keep_limits=request
        )
    areas = {schema.area for schema in specification.schemas.values()}
    written = _run(bundle, f"--aliases={json.dumps(attributes)}")
    return {
        area: _finish(
            written.get(area, ""),
            extras.get(area, {}),
            unions.get(area, []),
        )
        for area in sorted(areas)
    }


def render_queries(specification: Specification) -> dict[str, str]:
    """The text of `queries/<area>.py`, by area: the query parameters of each operation as a model."""
    bundle: Node = {}
    for operation in specification.operations():
        parameters = [p for p in operation.parameters if p.where == "query"]
        if not parameters:
            continue
        properties: Node = {}
        for parameter in parameters:
            schema = dict(parameter.schema)
            if "description" in parameter.node:
                schema.setdefault("description", parameter.node["description"])
            properties[parameter.name] = _prepare(
                schema, specification, parameter.area, keep_limits=True, inline=True
            )
        bundle[f"{operation.area}.{query_model_name(operation)}"] = {
            "type": "object",
            "description": f"Query parameters of `{operation.id}`.",
            "customBasePath": "inkbox_async.modeling.RequestModel",
            "required": [p.name for p in parameters if p.required],
            "properties": properties,
        }
    return {
        area: _finish(text, {}, [])
        for area, text in sorted(_run(bundle, "--enum-field-as-literal=all").items())
    }


def _prepare(
    node: Any,  # Any: YAML of every shape
    specification: Specification,
    area: str,
    *,
    keep_limits: bool,
    inline: bool = False,
) -> Any:
    """A copy of a schema with references named by area, without limits, examples and extensions.

    With `inline`, referenced enums are written out: the model then needs no other module.
    """
    if isinstance(node, list):
        return [_prepare(item, specification, area, keep_limits=keep_limits, inline=inline) for item in node]
    if not isinstance(node, dict):
        return node
    result: Node = {}
    for key, value in node.items():
        if key in ("example", "examples", "deprecated", "title") or key.startswith("x-"):
            continue
        if key in LIMITS and not keep_limits:
            continue
        if key == "$ref":
            schema = specification.schema(value, area)
            if _is_union(schema.node):
                result["oneOf"] = _prepare(
                    schema.node["oneOf"], specification, schema.area, keep_limits=keep_limits, inline=inline
                )
                continue
            if inline:
                target = _prepare(
                    schema.node, specification, schema.area, keep_limits=keep_limits, inline=True
                )
                target.pop("description", None)
                result = {**target, **result}
                continue
            result[key] = f"#/components/schemas/{schema.area}.{schema.name}"
        elif key == "properties":
            result[key] = {
                name: _prepare(item, specification, area, keep_limits=keep_limits, inline=inline)
                for name, item in value.items()
            }
        elif key in ("enum", "default", "required", "const"):
            result[key] = value
        else:
            result[key] = _prepare(value, specification, area, keep_limits=keep_limits, inline=inline)
    if node.get("x-open-string"):
        result.pop("enum", None)
    return result


def _is_union(node: Node) -> bool:
    return "oneOf" in node and "properties" not in node


def _union(specification: Specification, name: str, node: Node, area: str) -> str:
    """A type alias for a schema that is one of several others, told apart by one field."""
    members = [specification.schema(item["$ref"], area) for item in node["oneOf"]]
    if strangers := [member.name for member in members if member.area != area]:
        raise SpecificationError(f"{area}.yaml: {name} joins schemas of other areas: {strangers}")
    description = " ".join(str(node.get("description", "")).split())
    discriminator = node.get("discriminator")
    if discriminator is None:
        alias = f"{name}: TypeAlias = {' | '.join(member.name for member in members)}"
    else:
        mapping = {
            value: specification.schema(reference, area).name
            for value, reference in discriminator.get("mapping", {}).items()
        }
        otherwise = node.get("x-otherwise")
        if otherwise is None:
            raise SpecificationError(f"{area}.yaml: {name} has a discriminator and no x-otherwise")
        others = [specification.schema(otherwise, area).name]
        if absent := node.get("x-absent"):
            others.append(specification.schema(absent, area).name)
        tags = " | ".join(f'Annotated[{m.name}, Tag("{m.name}")]' for m in members)
        choice = [repr(discriminator["propertyName"]), repr(mapping), *map(repr, others)]
        alias = f"{name}: TypeAlias = Annotated[\n    {tags},\n    told_apart_by({', '.join(choice)}),\n]"
    return f'{alias}\n"""{description}"""\n'


def _run(bundle: Node, *options: str) -> dict[str, str]:
    """Run datamodel-code-generator over schemas named `<area>.<Name>`; the text of each area's module."""
    if not bundle:
        return {}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "bundle", "version": "1"},
        "paths": {},
        "components": {"schemas": bundle},
    }
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "bundle.json")
        source.write_text(json.dumps(document), encoding="utf-8")
        output = Path(folder, "out")
        command = [
            sys.executable,
            "-m",
            "datamodel_code_generator",
            f"--input={source}",
            f"--output={output}",
        ]
        done = subprocess.run([*command, *OPTIONS, *options], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SpecificationError(f"datamodel-code-generator: {done.stderr.strip()}")
        return {
            path.stem: path.read_text(encoding="utf-8")
            for path in output.glob("*.py")
            if path.stem != "__init__"
        }


def _finish(text: str, null_defaults: dict[str, list[str]], unions: list[str]) -> str:
    """Add what datamodel-code-generator cannot be told: open enums, lazy schemas, null as default."""
    text = re.sub(r"\A(#.*\n)+", "", text).lstrip()
    text = text.replace("from enum import StrEnum\n", "").replace("(StrEnum):", "(OpenEnum):")
    text = wrap_docstrings(text)
    text = re.sub(r"^\w+\.model_rebuild\(\)\n?", "", text, flags=re.MULTILINE)
    needed = {"OpenEnum"} if "(OpenEnum):" in text else set()
    for name, fields in null_defaults.items():
        needed.add("null_defaults")
        line = f"    _null_defaults = null_defaults({', '.join(map(repr, fields))})\n"
        start = re.search(rf"^class {name}\(", text, re.MULTILINE)
        if start is None:
            raise SpecificationError(f"no class was generated for {name}")
        end = re.compile(r"^(?=\S)", re.MULTILINE).search(text, start.end())
        position = end.start() if end else len(text)
        body = text[start.start() : position].rstrip() + "\n\n" + line + "\n\n"
        text = text[: start.start()] + body + text[position:]
    if unions:
        needed.add("told_apart_by")
        text = text.rstrip() + "\n\n\n" + "\n".join(unions)
        text = f"from typing import Annotated, TypeAlias\n\nfrom pydantic import Tag\n{text}"
    if needed:
        text = f"from inkbox_async.modeling import {', '.join(sorted(needed))}\n{text}"
    return text


def wrap_docstrings(text: str) -> str:
    """The text of a module with the docstrings of its classes and fields wrapped to the page."""
    return DOCSTRING.sub(_wrapped, text)


def _wrapped(docstring: re.Match[str]) -> str:
    indent = docstring["indent"]
    whole = f'{indent}{docstring["raw"]}"""{docstring["text"].strip()}"""'
    if len(whole) <= WIDTH:
        return whole
    paragraphs = docstring["text"].strip().split("\n\n")
    lines = [
        textwrap.fill(" ".join(paragraph.split()), WIDTH - len(indent) - 3, break_long_words=False)
        for paragraph in paragraphs
    ]
    text = textwrap.indent("\n\n".join(lines), indent).strip()
    return f'{indent}{docstring["raw"]}"""{text}\n{indent}"""'
