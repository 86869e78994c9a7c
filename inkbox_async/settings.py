"""What a client needs to know before its first request: keys, address, time-outs, hooks."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from yarl import URL

from .constants import VERSION
from .secrecy import hiding, hiding_fields

if TYPE_CHECKING:
    from .observe import RequestObserver, ResponseObserver

DEFAULT_BASE_URL = "https://inkbox.ai"
DEFAULT_TIMEOUT = 30.0
DEFAULT_MAX_RETRIES = 2
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@hiding_fields
@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """The resolved settings of one client; every value is checked, and keys stay out of the repr.

    `Settings(...)` takes values as given; `Settings.resolve(...)` also looks into the environment and the
    configuration file.

    Attributes:
        api_key: Sent as `X-API-Key`; None for the few calls that need no key.
        base_url: Origin, and path prefix if any, without a trailing slash.
        vault_key: Opens the vault when the client is entered; None to leave it locked.
        timeout: Seconds for each phase of a request (to get a connection, to send the next piece of a body,
            to wait for the next piece of the answer); None waits for ever.
        max_retries: How many times a request may be repeated.
        user_agent_prefix: Put in front of `inkbox-async/<version>` in the `User-Agent` header.
        response_observer: Called with the metadata of every response.
        request_observer: Called with the metadata of every attempt before it is sent.
    """

    api_key: str | None = field(default=None, repr=False)
    base_url: str = DEFAULT_BASE_URL
    vault_key: str | None = field(default=None, repr=False)
    timeout: float | None = DEFAULT_TIMEOUT
    max_retries: int = DEFAULT_MAX_RETRIES
    user_agent_prefix: str | None = None
    response_observer: ResponseObserver | None = None
    request_observer: RequestObserver | None = None

    def __post_init__(self) -> None:
        if self.api_key is not None:
            object.__setattr__(self, "api_key", _checked_api_key(self.api_key))
        object.__setattr__(self, "base_url", _checked_base_url(self.base_url))
        check_timeout(self.timeout)
        if (
            isinstance(self.max_retries, bool)
            or not isinstance(self.max_retries, int)
            or self.max_retries < 0
        ):
            raise ValueError(f"max_retries must be a whole number, 0 or more, not {self.max_retries!r}")
        prefix = self.user_agent_prefix
        if prefix is not None and not (prefix.strip() and prefix.isascii() and prefix.isprintable()):
            raise ValueError("user_agent_prefix must be printable ASCII text, such as 'my-agent/1.2'")
        for name in ("response_observer", "request_observer"):
            _check_observer(name, getattr(self, name))

    @classmethod
    @hiding
    def resolve(
        cls,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        vault_key: str | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        user_agent_prefix: str | None = None,
        response_observer: ResponseObserver | None = None,
        request_observer: RequestObserver | None = None,
    ) -> Settings:
        """Take key, address and vault key from the argument, the environment or the configuration file.

        The environment variables are `INKBOX_API_KEY`, `INKBOX_BASE_URL` and `INKBOX_VAULT_KEY`; the file is
        `~/.inkbox/config`, one `name = value` a line. An argument wins over the environment, the
        environment over the file.

        Args:
            api_key: See the attribute of the same name, as for all arguments.
            base_url: `https://inkbox.ai` when it is given nowhere.
            vault_key: None when it is given nowhere.
            timeout: Seconds.
            max_retries: 0 switches repeats off.
            user_agent_prefix: Printable ASCII.
            response_observer: A plain function.
            request_observer: A plain function.

        Raises:
            ValueError: There is no API key, or a value is unusable; the message says which.
        """
        look_up = _LookUp()
        api_key = look_up("api_key", api_key)
        if not api_key or not api_key.strip():
            raise ValueError(
                "no Inkbox API key: pass api_key=, set INKBOX_API_KEY, or put `api_key = ...` into "
                "~/.inkbox/config"
            )
        return cls(
            api_key=api_key,
            base_url=look_up("base_url", base_url) or DEFAULT_BASE_URL,
            vault_key=look_up("vault_key", vault_key),
            timeout=timeout,
            max_retries=max_retries,
            user_agent_prefix=user_agent_prefix,
            response_observer=response_observer,
            request_observer=request_observer,
        )

    @property
    def user_agent(self) -> str:
        """The `User-Agent` header."""
        own = f"inkbox-async/{VERSION}"
        return f"{self.user_agent_prefix.strip()} {own}" if self.user_agent_prefix else own


class _LookUp:
    """Finds a setting: argument, then environment, then the file, read at most once and only then."""

    def __init__(self) -> None:
        self._file: Mapping[str, str] | None = None

    def __call__(self, name: str, given: object) -> str | None:
        if given is not None:
            if not isinstance(given, str):
                raise ValueError(f"{name} must be text, not {type(given).__name__}")
            return given
        if value := os.environ.get(f"INKBOX_{name.upper()}"):
            return value
        if self._file is None:
            self._file = _read_config()
        return self._file.get(name) or None


def _read_config() -> dict[str, str]:
    """The values of `~/.inkbox/config`; a file that is missing or unreadable has none."""
    try:
        text = (Path.home() / ".inkbox" / "config").read_text(encoding="utf-8")
    except (OSError, RuntimeError, UnicodeError):
        return {}
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = value.strip().strip("\"'")
    return values


def _checked_api_key(api_key: str) -> str:
    key = api_key.strip()
    if not key:
        raise ValueError("the API key is empty")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(
            "the API key has characters that no key has (spaces, line breaks or non-ASCII): copy it anew"
        )
    return key


def _checked_base_url(base_url: str) -> str:
    text = base_url.strip()
    advice = "base_url must start with https:// (http:// only for localhost, 127.0.0.1 and [::1])"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"base_url is not a URL; {advice}") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "base_url must not hold a user name or password; the API key is an argument of its own"
        )
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError(
            "base_url must be an origin with at most a path: leave out the query and the fragment"
        )
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK_HOSTS)):
        # An address that was mistyped may hold a password where nobody looks for one.
        raise ValueError(advice if "@" in text else f"{advice}, not {text!r}")
    return str(URL(text)).rstrip("/")


def check_timeout(timeout: float | None) -> None:
    """Refuse a time-out that is not None and not a positive finite number of seconds, with a ValueError."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
        raise ValueError(
            f"timeout must be a positive number of seconds, or None to wait for ever, not {timeout!r}"
        )


def _check_observer(name: str, observer: Callable[..., object] | None) -> None:
    if observer is not None and (not callable(observer) or inspect.iscoroutinefunction(observer)):
        raise ValueError(
            f"{name} must be a plain function of one argument, not a coroutine function or a value"
        )
