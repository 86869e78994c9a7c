"""HTML that cannot be injected into: text is escaped wherever it is not made of elements."""

from __future__ import annotations

import html
from typing import TypeAlias


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child: TypeAlias = "str | int | list[Markup] | None"


def element(name: str, *children: Child, **attributes: str) -> Markup:
    """An element; text among its children is escaped, `None` left out. `class_` is the attribute `class`."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{written}>{''.join(_written(child) for child in children)}</{name}>")


def _written(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, list):
        return "".join(_written(item) for item in child)
    return html.escape(str(child))
