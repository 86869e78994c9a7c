"""Identity helpers: methods of an identity that are an operation with its address, number or id filled in."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .arguments import Argument, Hint
from .resources import Method, docstring, environment, read_method
from .specification import Specification, SpecificationError


@dataclass(frozen=True)
class Binding:
    """What an identity fills in by itself, and what it must have for that."""

    argument: str
    value: str
    missing: str | None


BINDINGS = {
    "mailbox": Binding("email_address", "self._mailbox_address()", "the identity has no mailbox."),
    "phone_number": Binding(
        "phone_number_id", "self._phone_number_id()", "the identity has no phone number."
    ),
    "handle": Binding("agent_handle", "self.agent_handle", None),
    "imessage": Binding("agent_identity_id", "self._imessage_identity_id()", "iMessage is not enabled."),
    "identity": Binding("agent_identity_id", "self.id", None),
}


@dataclass(frozen=True)
class Helper:
    """Everything the template needs to write one helper."""

    name: str
    resource: str
    method: Method
    binding: Binding
    arguments: list[Argument]
    docstring: str
    keep: str | None

    @property
    def signature(self) -> str:
        """The arguments of the helper, without self."""
        return replace(self.method, arguments=self.arguments).signature

    @property
    def passed(self) -> list[str]:
        """What is passed on to the resource's method."""
        names = [argument.name for argument in self.arguments]
        return [*names, "idempotency_key"] if self.method.idempotency else names


def render_identity(specification: Specification) -> dict[str, str]:
    """The text of `identity/<area>.py`, by area, for areas with identity helpers."""
    template = environment().get_template("identity.py.jinja2")
    rendered = {}
    for area in specification.areas.values():
        needs: set[tuple[str, str]] = set()
        helpers = []
        for operation in area.operations:
            if about := operation.node.get("x-identity"):
                helpers.append(_helper(about, read_method(specification, operation, needs)))
        if helpers:
            by_area: dict[str, list[str]] = {}
            for owner, name in sorted(needs):
                by_area.setdefault(owner, []).append(name)
            rendered[area.name] = template.render(area=area.name, helpers=helpers, imports=by_area)
    return rendered


def _helper(about: dict[str, str], method: Method) -> Helper:
    operation = method.operation
    try:
        binding = BINDINGS[about["bind"]]
    except KeyError:
        raise SpecificationError(
            f"{operation.id}: x-identity needs `method` and `bind`, one of {', '.join(BINDINGS)}"
        ) from None
    arguments = [argument for argument in method.arguments if argument.name != binding.argument]
    if len(arguments) == len(method.arguments):
        raise SpecificationError(f"{operation.id}: x-identity binds {binding.argument}, which is no argument")
    return Helper(
        name=about["method"],
        resource=operation.resource,
        method=method,
        binding=binding,
        arguments=arguments,
        docstring=docstring(
            operation,
            arguments,
            bool(method.idempotency),
            Hint("None") if "keep" in about else method.returns,
            missing=binding.missing,
        ),
        keep=about.get("keep"),
    )
