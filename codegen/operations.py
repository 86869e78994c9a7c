"""The table of operations: what the sandbox's server needs to route, check and answer requests."""

from __future__ import annotations

from .models import query_model_name
from .specification import Node, Operation, Specification, SpecificationError

MODELS = "inkbox_async.generated.models"
QUERIES = "inkbox_async.generated.queries"
PATH_TYPES = {"integer": "integer", "string": "string"}


def render_operations(specification: Specification) -> str:
    """The text of `operations.py`."""
    rows = "\n".join(_row(specification, operation) for operation in specification.operations())
    return f"""from __future__ import annotations

from inkbox_async.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
{rows}
)
"""


def _row(specification: Specification, operation: Operation) -> str:
    node = operation.node
    fields: list[tuple[str, object]] = [
        ("id", operation.id),
        ("method", operation.method),
        ("path", operation.path),
        ("status", operation.status),
        ("area", operation.area),
    ]
    callers = ", ".join(repr(caller) for caller in sorted(node.get("x-callers", ())))
    lines = [f"{name}={value!r}," for name, value in fields]
    lines.append(f"callers=frozenset(({callers},))," if callers else "callers=frozenset(),")
    types = {
        p.name: "uuid" if p.schema.get("format") == "uuid" else PATH_TYPES[p.schema.get("type", "string")]
        for p in operation.parameters
        if p.where == "path"
    }
    if types:
        lines.append(f"path_types={types!r},")
    if any(p.where == "query" for p in operation.parameters):
        lines.append(f"query={f'{QUERIES}.{operation.area}:{query_model_name(operation)}'!r},")
    if operation.body is not None:
        if operation.body_media == "application/json":
            lines.append(f"body={_type(specification, operation.body, operation.area)!r},")
        lines.append(f"body_required={operation.body_required!r},")
        if operation.body_media != "application/json":
            lines.append(f"body_media={operation.body_media!r},")
    if operation.answer is not None and operation.answer_media != "application/json":
        lines.append(f"response_media={operation.answer_media!r},")
    return "    Operation(\n        " + "\n        ".join(lines) + "\n    ),"


def _type(specification: Specification, node: Node, area: str) -> str:
    if "$ref" not in node:
        raise SpecificationError(f"{area}.yaml: bodies and answers must be named schemas, not {node}")
    schema = specification.schema(node["$ref"], area)
    return f"{MODELS}.{schema.area}:{schema.name}"
