"""Typed dictionaries: schemas as the raw JSON that a receiver sees, under their documented names."""

from __future__ import annotations

from .models import wrap_docstrings
from .specification import Node, Schema, Specification, SpecificationError

PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
# Annotations are evaluated when the module is imported, so that `__required_keys__` is true.
IMPORTS = """from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

"""


def render_typed_dicts(specification: Specification) -> dict[str, str]:
    """The text of `typed_dicts/<area>.py`, by area, for areas that list documented names."""
    return {
        area: IMPORTS + wrap_docstrings("\n\n".join(_Area(specification, area, names).render()))
        for area, names in specification.typed_dicts().items()
    }


class _Area:
    """Writes the types of one area: a TypedDict for an object, a Literal for an enum."""

    def __init__(self, specification: Specification, area: str, names: dict[str, str]) -> None:
        self._specification = specification
        self._area = area
        self._names = names
        self._by_schema = {schema: name for name, schema in names.items()}
        self._written: dict[str, str] = {}

    def render(self) -> list[str]:
        """Every type, each after those that it is made of."""
        for name in self._names:
            self._write(name)
        return list(self._written.values())

    def _write(self, name: str) -> str:
        """The name, once its type is written."""
        if name not in self._written:
            text = self._type(name, self._schema(self._names[name]))
            self._written[name] = text
        return name

    def _schema(self, name: str) -> Schema:
        try:
            return self._specification.schemas[name]
        except KeyError:
            raise SpecificationError(f"{self._area}.yaml: x-typed-dicts names no schema: {name}") from None

    def _type(self, name: str, schema: Schema) -> str:
        description = " ".join(str(schema.node.get("description", "")).split())
        if "enum" in schema.node:
            return f'{name}: TypeAlias = {_literal(schema.node["enum"])}\n"""{description}"""\n'
        required = set(schema.node.get("required", ()))
        fields = []
        for key, node in schema.node.get("properties", {}).items():
            hint = self._hint(node, schema.area)
            fields.append(f"    {key}: {hint if key in required else f'NotRequired[{hint}]'}")
            if text := " ".join(str(node.get("description", "")).split()):
                fields.append(f'    """{text}"""')
        return f'class {name}(TypedDict):\n    """{description}"""\n\n' + "\n".join(fields) + "\n"

    def _hint(self, node: Node, area: str) -> str:
        if "$ref" in node:
            schema = self._specification.schema(node["$ref"], area)
            if schema.name in self._by_schema:
                return self._write(self._by_schema[schema.name])
            if "enum" in schema.node:
                return _literal(schema.node["enum"])
            raise SpecificationError(f"{self._area}.yaml: x-typed-dicts lacks a name for {schema.name}")
        for union in ("oneOf", "anyOf"):
            if union in node:
                return " | ".join(self._hint(item, area) for item in node[union])
        if "enum" in node:
            return _literal(node["enum"])
        types = node.get("type")
        if types is None:
            return "Any"
        kinds = types if isinstance(types, list) else [types]
        return " | ".join(self._plain(kind, node, area) for kind in kinds)

    def _plain(self, kind: str, node: Node, area: str) -> str:
        if kind == "array":
            return f"list[{self._hint(node['items'], area)}]"
        return "dict[str, Any]" if kind == "object" else PLAIN[kind]


def _literal(values: list[str | None]) -> str:
    texts = [repr(value) for value in values if value is not None]
    return f"Literal[{', '.join(texts)}]" + (" | None" if None in values else "")
