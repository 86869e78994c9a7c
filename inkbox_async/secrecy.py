"""What is secret: the names it goes by, how it is shown, and how failures leave without it."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)
E = TypeVar("E", bound=BaseException | None)

SECRET: Final = "[secret]"

SECRET_FIELDS: Final = frozenset(
    {
        "api_key",
        "auth_hash",
        "auth_token",
        "current_auth_hash",
        "invitation_token",
        "password",
        "private_key",
        "recovery_auth_hash",
        "signing_key",
        "verification_code",
        "SandboxSignupCode.code",
    }
)
"""Fields that a model shows when asked for them by name, and never in its repr.

A name that is harmless elsewhere stands here with its model.
"""

_SECRET_NAME: Final = re.compile(
    r"(?:.*_)?(?:api_key|auth_hash|bearer|otp|passphrase|passwd|password|private_key|recovery_codes?|secret"
    r"|secret_key|seed|signing_key|token|vault_key|verification_code)",
    re.IGNORECASE,
)
"""What newer servers might call theirs."""

_URL_NAME: Final = re.compile(r"(?:.*_)?(?:url|uri|link)s?", re.IGNORECASE)
_FOR_PEOPLE: Final = frozenset({"upgrade_url"})
"""Addresses in errors that somebody is to open."""

_PROVING_SEGMENT: Final = re.compile(r"[0-9a-fA-F]{64,}|a2ai_[^/?#]+")
_AUTHORITY: Final = re.compile(r"([a-z][a-z0-9+.-]*:(?://)?)([^/?#]*)@", re.IGNORECASE)
_RECOGNISABLE: Final = re.compile(
    r"(?P<kind>ApiKey_|whsec_|a2ai_|otpauth://|Bearer )[^\s\"'<>,;]+|-----BEGIN [A-Z ]*PRIVATE KEY-----.*",
    re.DOTALL,
)


def is_secret(name: str) -> bool:
    """Whether what is called this is not to be shown."""
    return name in SECRET_FIELDS or _SECRET_NAME.fullmatch(name) is not None


def is_address(name: str) -> bool:
    """Whether what is called this is an address, which may hold secrets."""
    return _URL_NAME.fullmatch(name) is not None


def public_path(path: str) -> str:
    """The path for messages, logs and observers: no query, and segments that prove a key are blotted out."""
    return _PROVING_SEGMENT.sub("[redacted]", path.partition("?")[0])


def public_url(url: str) -> str:
    """An address without what proves a right to use it: user, password, values of the query, signatures."""
    match = _AUTHORITY.match(url)
    if match is not None:
        scheme, user = match.groups()
        # The user of a SIP address is who is called.
        shown = user.partition(":")[0] if scheme[:3].lower() == "sip" else SECRET
        if ":" in user and shown != SECRET:
            shown = f"{shown}:{SECRET}"
        url = f"{scheme}{shown}@{url[match.end() :]}"
    place, hash_sign, _ = url.partition("#")
    path, question_mark, query = place.partition("?")
    path = _PROVING_SEGMENT.sub(SECRET, path)
    if question_mark:
        path += "?" + "&".join(_without_value(part) for part in query.split("&"))
    return path + (f"#{SECRET}" if hash_sign else "")


def _without_value(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return f"{name}={SECRET}" if equals else SECRET


def shown(name: str, value: Any, model: str = "") -> Any:  # Any: JSON values of every type
    """A value as a repr, a journal or an error may show it; `model` is the class that it is a field of."""
    if (is_secret(name) or f"{model}.{name}" in SECRET_FIELDS) and not (
        value is None or isinstance(value, bool)
    ):
        return SECRET
    if isinstance(value, str):
        return public_url(value) if is_address(name) else value
    if isinstance(value, list):
        return [shown(name, item) for item in value]
    if isinstance(value, dict):
        return {key: shown(str(key), item) for key, item in value.items()}
    return value


def without_recognisable(text: str) -> str:
    """A text in which nothing is left that looks like one of Inkbox's keys, tokens or seeds."""
    return _RECOGNISABLE.sub(lambda match: f"{match['kind'] or ''}{SECRET}", text)


def shown_detail(detail: Any) -> Any:  # Any: JSON values of every type
    """What a server says of a failure, without the input that it may quote."""
    if isinstance(detail, str):
        return without_recognisable(detail)
    if isinstance(detail, list):
        return [shown_detail(item) for item in detail]
    if not isinstance(detail, dict):
        return detail
    found = {key: _shown_part(str(key), item) for key, item in detail.items()}
    place = detail.get("loc")
    names = [str(part) for part in place] if isinstance(place, list) else []
    for quoted in ("input", "ctx"):
        if quoted in found:
            found[quoted] = _shown_at(names, found[quoted])
    return found


def _shown_part(name: str, value: Any) -> Any:  # Any: JSON values of every type
    if isinstance(value, list):
        return [_shown_part(name, item) for item in value]
    if not isinstance(value, str):
        return shown_detail(value)
    if is_secret(name):
        return SECRET
    return without_recognisable(public_url(value) if is_address(name) and name not in _FOR_PEOPLE else value)


def _shown_at(names: list[str], value: Any) -> Any:  # Any: JSON values of every type
    if any(map(is_secret, names)):
        return SECRET
    return shown(next((name for name in reversed(names) if not name.isdigit()), ""), value)


def without_frames(error: E) -> E:
    """The error and those before it without their frames, whose variables may hold secrets.

    What the caller was handling already when it began keeps its own.
    """
    outer = sys.exception()
    seen: set[int] = set()
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is None or link is outer or id(link) in seen:
            continue
        seen.add(id(link))
        link.__traceback__ = None
        links += (link.__cause__, link.__context__)
        if isinstance(link, BaseExceptionGroup):
            links += link.exceptions
    return error


def hiding(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function or coroutine function whose arguments are secret: errors leave without frames.

    Tools that report the variables of every frame beside a traceback would show the arguments otherwise.
    """
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def hiding_call(*args: P.args, **kwargs: P.kwargs) -> Any:  # Any: what `function` returns
            try:
                return await function(*args, **kwargs)
            except BaseException as error:
                failure = error
            # Out here, so that what is handled at this moment is the caller's affair.
            del args, kwargs
            try:
                raise without_frames(failure)
            finally:
                del failure

        return cast("Callable[P, R]", hiding_call)

    @wraps(function)
    def hiding_plain_call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            failure = error
        del args, kwargs
        try:
            raise without_frames(failure)
        finally:
            del failure

    return hiding_plain_call


def hiding_fields(cls: C) -> C:
    """Decorate a dataclass whose fields are secret: what its constructor raises leaves without frames."""
    cls.__init__ = hiding(cls.__init__)  # type: ignore[misc]
    return cls
