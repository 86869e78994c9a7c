"""Arguments: how the parameters and the body of an operation become the typed arguments of a method."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .specification import Node, Operation, Schema, Specification, SpecificationError

PLAIN_TYPES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "object": "Mapping[str, object]",
}


@dataclass(frozen=True)
class Hint:
    """A type annotation and the model names it needs, by area."""

    text: str
    models: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Argument:
    """One argument of a generated method and where its value goes on the wire.

    `default` is None for a required argument, else the text of the default. `parent` names the object of
    the body that the value is put into, when that object is flattened. `unsent` is the text of
    the value that stands for leaving it out.
    """

    name: str
    wire: str
    where: str
    hint: Hint
    default: str | None
    description: str
    positional: bool = False
    parent: str | None = None
    omit_falsy: bool = False
    always: bool = False
    unsent: str | None = None
    is_sequence: bool = False

    @property
    def is_unset(self) -> bool:
        """Whether leaving it out and passing None are two things."""
        return self.default == "UNSET"


@dataclass(frozen=True)
class Parents:
    """Objects of the body whose properties were flattened into arguments: wire name to whether required."""

    required: dict[str, bool] = field(default_factory=dict)


def collect(specification: Specification, operation: Operation) -> tuple[list[Argument], Parents]:
    """All arguments of an operation: path parameters, then what is required, then what is optional."""
    positional = set(operation.node.get("x-positional", ()))
    arguments: list[Argument] = []
    parents = Parents()
    for parameter in operation.parameters:
        node = {**parameter.schema, **{k: v for k, v in parameter.node.items() if k.startswith("x-")}}
        if parameter.where == "header":
            continue  # headers belong to the transport
        if operation.node.get("x-paging") == "cursor" and parameter.name == "cursor":
            continue
        if "description" in parameter.node:
            node["description"] = parameter.node["description"]
        argument = _argument(
            specification,
            parameter.area,
            parameter.name,
            node,
            parameter.where,
            parameter.required,
            positional,
        )
        arguments.append(argument)
    if operation.body is not None and operation.body_media == "application/json":
        arguments += _body(specification, operation.body, operation.area, positional, parents)
    elif operation.body is not None:
        hint = Hint("bytes") if operation.body_media != "text/vcard" else Hint("str")
        arguments.append(Argument("content", "content", "raw", hint, None, "The body, as it travels.", True))
    names = [argument.name for argument in arguments]
    if len(set(names)) != len(names):
        raise SpecificationError(f"{operation.id}: two arguments of one name in {names}")
    arguments.sort(key=lambda a: (a.where != "path", not a.positional, a.default is not None))
    return arguments, parents


def _body(
    specification: Specification,
    node: Node,
    area: str,
    positional: set[str],
    parents: Parents,
    parent: str | None = None,
    parent_required: bool = True,
) -> list[Argument]:
    schema = _named(specification, node, area)
    required = set(schema.node.get("required", ()))
    arguments: list[Argument] = []
    for name, item in schema.node.get("properties", {}).items():
        if item.get("x-flatten"):
            parents.required[name] = name in required
            arguments += _body(specification, item, schema.area, positional, parents, name, name in required)
        else:
            must = name in required and parent_required
            arguments.append(
                _argument(specification, schema.area, name, item, "body", must, positional, parent)
            )
    return arguments


def _named(specification: Specification, node: Node, area: str) -> Schema:
    reference = node.get("$ref") or next((n["$ref"] for n in node.get("allOf", ()) if "$ref" in n), None)
    if reference is None:
        raise SpecificationError(f"{area}.yaml: a request body must be a named schema, not {node}")
    return specification.schema(reference, area)


def _argument(
    specification: Specification,
    area: str,
    wire: str,
    node: Node,
    where: str,
    required: bool,
    positional: set[str],
    parent: str | None = None,
) -> Argument:
    hint = _written(specification, node) or annotation(specification, node, area)
    nullable = is_nullable(node)
    name = str(node.get("x-python-name", wire)).replace("-", "_")
    default: str | None
    always = bool(node.get("x-always-send"))
    unsent = repr(node["x-unsent"]) if "x-unsent" in node else None
    if required or node.get("x-required-argument"):
        default = None
    elif always:
        default = _literal(specification, node, area)
    elif unsent is not None:
        default = unsent
    elif node.get("x-omit-falsy") and node.get("type") == "boolean":
        default = "False"
    elif nullable or node.get("x-unset"):
        default = "UNSET"
        hint = Hint(f"{hint.text} | Unset", hint.models)
    else:
        default = "None"
        hint = Hint(f"{hint.text} | None", hint.models)
    return Argument(
        name=name,
        wire=wire,
        where=where,
        hint=hint,
        default=default,
        description=_description(specification, node, area),
        positional=where == "path" or name in positional or wire in positional,
        parent=parent,
        omit_falsy=bool(node.get("x-omit-falsy")),
        always=always,
        unsent=unsent,
        is_sequence="array" in node.get("type", ()),
    )


def is_nullable(node: Node) -> bool:
    """Whether null is a value of the schema."""
    kind = node.get("type")
    if kind == "null" or (isinstance(kind, list) and "null" in kind):
        return True
    return any(is_nullable(item) for key in ("oneOf", "anyOf") for item in node.get(key, ()))


def annotation(specification: Specification, node: Node, area: str, *, answer: bool = False) -> Hint:
    """The Python type of a schema: exact for answers, wider for arguments (ids as str, mappings)."""
    for key in ("oneOf", "anyOf"):
        if key in node:
            return _joined([annotation(specification, item, area, answer=answer) for item in node[key]])
    if "allOf" in node and len(node["allOf"]) == 1:
        return annotation(specification, node["allOf"][0], area, answer=answer)
    if "$ref" in node:
        return _reference(specification.schema(node["$ref"], area), specification, answer)
    kind = node.get("type", "object")
    if isinstance(kind, list):
        return _joined([annotation(specification, {**node, "type": k}, area, answer=answer) for k in kind])
    if kind == "null":
        return Hint("None")
    if kind == "array":
        item = annotation(specification, node.get("items", {}), area, answer=answer)
        return Hint(f"list[{item.text}]" if answer else f"Sequence[{item.text}]", item.models)
    if kind == "string":
        return Hint(_string(node, answer))
    return Hint("dict[str, Any]" if answer and kind == "object" else PLAIN_TYPES[kind])


def _written(specification: Specification, node: Node) -> Hint | None:
    """The type that `x-python-type` writes out, with the models it names."""
    text = node.get("x-python-type")
    if text is None:
        return None
    names = [name for name in re.findall(r"\w+", text) if name in specification.schemas]
    return Hint(text, frozenset((specification.schemas[name].area, name) for name in names))


def _string(node: Node, answer: bool) -> str:
    match node.get("format"):
        case "uuid":
            return "UUID" if answer else "UUID | str"
        case "date-time":
            return "datetime"
        case "date":
            return "date" if answer else "date | str"
        case "binary":
            return "bytes"
    if "enum" in node and not answer:
        return f"Literal[{', '.join(repr(value) for value in node['enum'] if value is not None)}] | str"
    return "str"


def _reference(schema: Schema, specification: Specification, answer: bool) -> Hint:
    needs = frozenset({(schema.area, schema.name)})
    if answer:
        return Hint(schema.name, needs)
    if "enum" in schema.node:
        return Hint(f"{schema.name} | str", needs)
    if "oneOf" in schema.node and "properties" not in schema.node:
        return Hint(f"{schema.name} | Mapping[str, object]", needs)
    if schema.node.get("type", "object") == "object" or "allOf" in schema.node:
        return Hint(f"{schema.name} | Mapping[str, object]", needs)
    return annotation(specification, schema.node, schema.area)


def _joined(hints: list[Hint]) -> Hint:
    parts: list[str] = []
    for hint in hints:
        for part in _split_union(hint.text):
            if part not in parts:
                parts.append(part)
    if "None" in parts:
        parts.remove("None")
        parts.append("None")
    return Hint(" | ".join(parts), frozenset().union(*(hint.models for hint in hints)))


def _split_union(text: str) -> list[str]:
    """The members of a union, not cutting inside brackets."""
    parts, depth, current = [], 0, ""
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "|" and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += character
    return [*parts, current.strip()]


def _literal(specification: Specification, node: Node, area: str) -> str:
    if "default" not in node:
        raise SpecificationError(f"{area}.yaml: x-always-send without a default in {node}")
    return repr(node["default"])


def _description(specification: Specification, node: Node, area: str) -> str:
    text = node.get("description")
    if not text and "$ref" in node:
        text = specification.schema(node["$ref"], area).node.get("description", "")
    return " ".join(str(text or "").split())
