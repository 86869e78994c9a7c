"""What all resource classes stand on: the transport, path segments, pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar, overload
from uuid import UUID

from .paging import AsyncPages, Page, PageEnvelope
from .query import query_string, quoted

if TYPE_CHECKING:
    from .transport import Transport

T = TypeVar("T")


class Resource:
    """A part of the API, reached through one transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _pages(
        self, path: str, envelope: type[PageEnvelope[T]], query: Mapping[str, object] | None = None
    ) -> AsyncPages[T]:
        """The pages of a list operation with a cursor.

        Args:
            path: Percent-encoded path.
            envelope: Model of one page: `items`, `next_cursor` and, if the operation has it, `has_more`.
            query: All query values but the cursor.

        Raises:
            ValueError: A query value is unusable.
        """
        transport = self._transport
        # Encoded here, because its errors belong to the call, not to the first iteration.
        text = query_string(query) if query else ""
        first = f"{path}?{text}" if text else path

        async def fetch(cursor: str | None) -> Page[T]:
            if cursor is None:
                place = first
            else:
                place = f"{first}{'&' if text else '?'}{query_string({'cursor': cursor})}"
            return Page.of(await transport.request("GET", place, envelope))

        return AsyncPages(fetch, spawn=transport.spawn)


def segment(value: str | UUID | int) -> str:
    """A value as one percent-encoded segment of a path; `@` and `+` stay as they are, as addresses have them.

    Raises:
        ValueError: The value is empty, or is a segment with a meaning of its own (`.` and `..`).
    """
    text = str(value) if isinstance(value, (str, UUID, int)) else ""
    if text in ("", ".", ".."):
        raise ValueError(f"{value!r} is not an id, a handle or an address")
    return quoted("an id, a handle or an address", text, safe="@+")


@overload
def sequence(values: None, name: str) -> None: ...
@overload
def sequence(values: Iterable[T], name: str) -> list[T]: ...


def sequence(values: Iterable[T] | None, name: str) -> list[T] | None:
    """A list argument as a list; a single value in its place is the caller's slip.

    Raises:
        ValueError: The value is one text, mapping or other single value instead of a list.
    """
    if values is None:
        return None
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list, even for one: {name}=[...]")
    return list(values)
