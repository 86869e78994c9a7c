"""Puts checks and repairs in front of a generated method without writing its signature again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ..error_mapping import handle_conflicts
from ..secrecy import hiding

P = ParamSpec("P")
R = TypeVar("R")


def checked(check: Callable[..., None]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a method so that `check(**keyword_arguments)` runs first.

    Args:
        check: Takes the keyword arguments it looks at, and `**_` for the rest; raises ValueError.
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        @hiding
        @wraps(method)
        def checking(*args: P.args, **kwargs: P.kwargs) -> R:
            check(**kwargs)
            return method(*args, **kwargs)

        return checking

    return decorate


def prepared(
    prepare: Callable[..., Awaitable[dict[str, Any]]],  # Any: arguments of every type
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """Decorate a coroutine method so that `prepare(self, *args, **kwargs)` may replace keyword arguments.

    Args:
        prepare: Gets what the method gets, and returns the keyword arguments to use instead.
    """

    def decorate(
        method: Callable[P, Coroutine[Any, Any, R]],  # Any: a coroutine's own
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        @hiding
        @wraps(method)
        async def preparing(*args: P.args, **kwargs: P.kwargs) -> R:
            kwargs.update(await prepare(*args, **kwargs))
            return await method(*args, **kwargs)

        return preparing

    return decorate


def naming_handle_conflicts(
    method: Callable[P, Coroutine[Any, Any, R]],  # Any: a coroutine's own
) -> Callable[P, Coroutine[Any, Any, R]]:
    """Decorate a coroutine method so that a taken handle is raised as `HandleUnavailableError`."""

    @hiding
    @wraps(method)
    async def naming(*args: P.args, **kwargs: P.kwargs) -> R:
        with handle_conflicts():
            return await method(*args, **kwargs)

    return naming
