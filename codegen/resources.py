"""Resource classes: one class a resource, one method an operation, written from templates."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2

from inkbox_async.secrecy import is_address, is_secret

from .arguments import Argument, Hint, annotation, collect
from .models import WIDTH
from .specification import Area, Node, Operation, Specification, SpecificationError

TEMPLATES = Path(__file__).parent / "templates"
CALLERS = {
    "admin": "an admin key",
    "agent": "a claimed agent key",
    "unclaimed": "an unclaimed agent key",
    "anyone": "no key",
}


@dataclass(frozen=True)
class Method:
    """Everything the template needs to write one method."""

    operation: Operation
    arguments: list[Argument]
    returns: Hint
    pages: bool
    item: str
    page: str
    docstring: str
    idempotency: str | None
    parents: dict[str, bool]
    takes_secrets: bool
    """Whether an argument is a secret or an address, or an object that has room for one."""

    @property
    def decoded(self) -> str:
        """The type that the answer is read as."""
        text = self.page or self.returns.text
        wrapper = self.operation.node.get("x-also-wrapped-in")
        return f"Annotated[{text}, unwrapped({wrapper!r})]" if wrapper else text

    @property
    def path(self) -> str:
        """The path as an f-string, every parameter percent-encoded."""
        names = {a.wire: a.name for a in self.arguments if a.where == "path"}
        text = re.sub(r"{(\w+)}", lambda m: f"{{segment({names[m[1]]})}}", self.operation.path)
        return f'f"{text}"' if names else f'"{text}"'

    @property
    def signature(self) -> str:
        """The arguments of the method, without self."""
        parts = [_parameter(a) for a in self.arguments if a.positional]
        keywords = [_parameter(a) for a in self.arguments if not a.positional]
        if self.idempotency:
            keywords.append("idempotency_key: str | None = None")
        if keywords:
            parts += ["*", *keywords]
        return "".join(f", {part}" for part in parts)

    @property
    def body(self) -> list[Argument]:
        """The arguments that travel in a JSON body."""
        return [a for a in self.arguments if a.where == "body"]

    @property
    def query(self) -> list[Argument]:
        """The arguments that travel in the query."""
        return [a for a in self.arguments if a.where == "query"]

    @property
    def has_body(self) -> bool:
        """Whether a JSON body is sent, be it an empty one."""
        return self.operation.body is not None and self.operation.body_media == "application/json"

    @property
    def raw(self) -> Argument | None:
        """The argument that is the body itself, for bodies that are not JSON."""
        return next((a for a in self.arguments if a.where == "raw"), None)

    def inside(self, parent: str) -> list[Argument]:
        """The arguments that are properties of one flattened object."""
        return [a for a in self.body if a.parent == parent]


def environment() -> jinja2.Environment:
    """The templates of the generator."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Python source, not markup
    )


def render_resources(specification: Specification) -> dict[str, str]:
    """The text of `resources/<area>.py`, by area, for areas that have resources."""
    template = environment().get_template("resources.py.jinja2")
    return {
        area.name: template.render(**_module(specification, area))
        for area in specification.areas.values()
        if area.resources
    }


def _module(specification: Specification, area: Area) -> dict[str, object]:
    needs: set[tuple[str, str]] = set()
    classes = []
    for key, about in area.resources.items():
        methods = [
            read_method(specification, operation, needs)
            for operation in area.operations
            if operation.resource == key and operation.node.get("x-python", True)
        ]
        classes.append(
            {
                "name": about["class"],
                "docstring": _closed(_wrapped(about.get("description", "").strip(), 4), 4),
                "methods": methods,
                "shadows_list": any(m.operation.name == "list" for m in methods),
            }
        )
    unknown = {o.resource for o in area.operations} - set(area.resources)
    if unknown:
        raise SpecificationError(f"{area.name}.yaml: x-resources lacks {sorted(unknown)}")
    by_area: dict[str, list[str]] = {}
    for owner, name in sorted(needs):
        by_area.setdefault(owner, []).append(name)
    return {"classes": classes, "imports": by_area}


def read_method(specification: Specification, operation: Operation, needs: set[tuple[str, str]]) -> Method:
    arguments, parents = collect(specification, operation)
    for argument in arguments:
        needs |= argument.hint.models
    pages = operation.node.get("x-paging") == "cursor"
    page = item = ""
    if operation.answer is None:
        returns = Hint("None")
    elif operation.answer_media != "application/json":
        returns = Hint("str" if operation.answer_media.startswith("text/") else "bytes")
    else:
        whole = annotation(specification, operation.answer, operation.area, answer=True)
        needs |= whole.models
        returns = whole
        page = whole.text
        unwrap = "items" if pages else operation.node.get("x-returns")
        if unwrap:
            returns = _property(specification, operation.answer, operation.area, unwrap)
            needs |= returns.models
        if pages:
            item = returns.text.removeprefix("list[").removesuffix("]")
            returns = Hint(f"AsyncPages[{item}]")
    idempotency = operation.node.get("x-idempotency")
    return Method(
        operation=operation,
        arguments=arguments,
        returns=returns,
        pages=pages,
        item=item,
        page=page,
        docstring=docstring(operation, arguments, bool(idempotency), returns),
        idempotency={"send": "SEND", "optional": "OPTIONAL"}[idempotency] if idempotency else None,
        parents=parents.required,
        takes_secrets=any(_may_be_secret(specification, argument) for argument in arguments),
    )


def _may_be_secret(specification: Specification, argument: Argument) -> bool:
    names = {argument.name, *_property_names(specification, argument.hint.models, set())}
    return any(is_secret(name) or is_address(name) for name in names)


def _property_names(
    specification: Specification, models: Iterable[tuple[str, str]], seen: set[tuple[str, str]]
) -> Iterator[str]:
    """Names of the properties of these schemas, and of those within them."""
    for area, name in models:
        if (area, name) in seen:
            continue
        seen.add((area, name))
        schema = specification.schemas[name]
        for key, node in schema.node.get("properties", {}).items():
            yield key
            inner = annotation(specification, node, schema.area).models
            yield from _property_names(specification, inner, seen)


def _property(specification: Specification, node: Node, area: str, name: str) -> Hint:
    schema = specification.schema(node["$ref"], area)
    try:
        return annotation(specification, schema.node["properties"][name], schema.area, answer=True)
    except KeyError:
        raise SpecificationError(f"{schema.area}.yaml: {schema.name} has no property {name}") from None


def _parameter(argument: Argument) -> str:
    text = f"{argument.name}: {argument.hint.text}"
    return text if argument.default is None else f"{text} = {argument.default}"


def docstring(
    operation: Operation,
    arguments: list[Argument],
    keyed: bool,
    returns: Hint,
    *,
    missing: str | None = None,
) -> str:
    """The docstring of a method; `missing` says what an identity lacks when the helper raises InkboxError."""
    node = operation.node
    blocks = [_wrapped(node.get("summary", "").strip().rstrip(".") + ".", 8)]
    if description := node.get("description", "").strip():
        blocks.append(_wrapped(description, 8))
    if node.get("deprecated"):
        blocks.append(_wrapped("Deprecated: today's servers have removed or changed this operation.", 8))
    lines = [(a.name, a.description) for a in arguments]
    if keyed:
        lines.append(
            (
                "idempotency_key",
                "1 to 255 printable ASCII characters that name this one request; a fresh one is made when "
                "left out. The same key again never acts twice.",
            )
        )
    if lines:
        blocks.append("Args:\n" + "\n".join(_entry(name, text) for name, text in lines))
    if returns.text != "None":
        answer = next(
            (
                r.get("description", "")
                for code, r in node.get("responses", {}).items()
                if str(code).isdigit() and int(code) < 400
            ),
            "",
        )
        if operation.node.get("x-paging") == "cursor":
            answer = "Pages: `async for` goes through the items of all of them, `await` fetches the first."
        blocks.append("Returns:\n" + _entry("", answer or returns.text))
    blocks.append("Raises:\n" + "\n".join(_raises(operation, missing)))
    if callers := node.get("x-callers"):
        words = [CALLERS[caller] for caller in ("admin", "agent", "unclaimed", "anyone") if caller in callers]
        allowed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
        blocks.append(_wrapped(f"May be called with {allowed}.", 8))
    blocks.append(f"Source: `{operation.method} {operation.path}`.")
    return textwrap.indent("\n\n".join(blocks), " " * 8).strip()


def _closed(text: str, indent: int) -> str:
    """Text of a docstring whose closing quotes stand on a line of their own when it has several lines."""
    if "\n" not in text:
        return text
    return textwrap.indent(text, " " * indent).strip() + "\n" + " " * indent


def _raises(operation: Operation, missing: str | None) -> list[str]:
    by_class: dict[str, list[str]] = {}
    for status, response in operation.errors:
        text = " ".join(str(response.get("description", "")).split()).rstrip(".")
        by_class.setdefault(response.get("x-raises", "InkboxAPIError"), []).append(
            f"{status}, {text[:1].lower()}{text[1:]}"
        )
    lines = [_entry("InkboxError", missing)] if missing else []
    lines += [_entry(name, "; ".join(texts) + ".") for name, texts in by_class.items()]
    lines.append(
        _entry("InkboxConnectionError", "the server could not be reached or did not answer in time.")
    )
    return lines


def _entry(name: str, text: str) -> str:
    """One entry of an Args, Returns or Raises block."""
    whole = f"{name}: {text}" if name and text else name or text
    return textwrap.fill(
        whole,
        WIDTH - 8,
        initial_indent="    ",
        subsequent_indent="        " if name else "    ",
        break_long_words=False,
    )


def _wrapped(text: str, indent: int) -> str:
    """Paragraphs wrapped to the page; lists and examples, which are indented or marked, stay as written."""
    paragraphs = []
    for paragraph in text.replace("\\", "\\\\").replace('"""', "'''").split("\n\n"):
        lines = paragraph.splitlines()
        if any(line.startswith((" ", "-", "*", "|")) for line in lines):
            paragraphs.append(paragraph)
        else:
            paragraphs.append(
                textwrap.fill(" ".join(paragraph.split()), WIDTH - indent, break_long_words=False)
            )
    return "\n\n".join(paragraphs)
