"""Time-based one-time passwords (RFC 6238), computed here and never by the server."""

from __future__ import annotations

import hmac
import time
from base64 import b32decode
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from ..secrecy import hiding, hiding_fields

VALID_DIGITS: Final = (6, 8)
VALID_PERIODS: Final = (30, 60)

_NO_TIME: Final = 1 << 63
"""Seconds beyond which a counter of eight bytes is no good."""


class TOTPAlgorithm(StrEnum):
    """Hash of the HMAC."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA512 = "sha512"


@dataclass(repr=False)
class TOTPCode:
    """A one-time code and the time in which it is valid.

    Attributes:
        code: The code, left-padded with zeros to the configured number of digits.
        period_start: Unix time in seconds at which the code became valid.
        period_end: Unix time in seconds at which it expires.
        seconds_remaining: Seconds until it expires, 1 to the period.
    """

    code: str
    period_start: int
    period_end: int
    seconds_remaining: int

    def __repr__(self) -> str:
        return (
            f"TOTPCode(code=***, period_start={self.period_start}, period_end={self.period_end}, "
            f"seconds_remaining={self.seconds_remaining})"
        )


@hiding_fields
@dataclass(repr=False)
class TOTPConfig:
    """What is needed to compute the codes of one account.

    Attributes:
        secret: Shared secret in base32 (RFC 4648), with or without padding, in either case.
        algorithm: Hash of the HMAC, a `TOTPAlgorithm` or its value.
        digits: Length of a code, 6 or 8.
        period: Seconds for which a code is valid, 30 or 60.
        issuer: Who issued the secret, for people.
        account_name: Whose account it is, for people.

    Raises:
        ValueError: One of the values is none of the above. The message does not hold the secret.
    """

    secret: str
    algorithm: TOTPAlgorithm = TOTPAlgorithm.SHA1
    digits: int = 6
    period: int = 30
    issuer: str | None = None
    account_name: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.secret, str) or not self.secret.strip():
            raise ValueError("the TOTP secret is empty")
        decode_base32(self.secret)
        if not isinstance(self.digits, int) or self.digits not in VALID_DIGITS:
            raise ValueError(f"TOTP digits must be 6 or 8, not {self.digits!r}")
        if not isinstance(self.period, int) or self.period not in VALID_PERIODS:
            raise ValueError(f"the TOTP period must be 30 or 60 seconds, not {self.period!r}")
        self.algorithm = _algorithm(self.algorithm)

    def __repr__(self) -> str:
        return (
            f"TOTPConfig(secret=***, algorithm={self.algorithm.value!r}, digits={self.digits}, "
            f"period={self.period})"
        )

    def generate_code(self) -> TOTPCode:
        """The code that is valid now."""
        return generate_totp(self)

    def to_wire(self) -> dict[str, object]:
        """The `totp` object of a login's payload."""
        wire: dict[str, object] = {
            "secret": self.secret,
            "algorithm": self.algorithm.value,
            "digits": self.digits,
            "period": self.period,
        }
        if self.issuer is not None:
            wire["issuer"] = self.issuer
        if self.account_name is not None:
            wire["account_name"] = self.account_name
        return wire

    @classmethod
    @hiding
    def from_wire(cls, wire: dict[str, object]) -> Self:
        """Read the `totp` object of a login's payload; missing values get their defaults.

        Raises:
            ValueError: The object is not a valid configuration.
        """
        known = {name: wire[name] for name in cls.__dataclass_fields__ if wire.get(name) is not None}
        if "secret" not in known:
            raise ValueError("the TOTP secret is missing")
        for name in ("issuer", "account_name"):
            if not isinstance(known.get(name, ""), str):
                raise ValueError(f"the TOTP {name} is not text")
        return cls(**known)  # type: ignore[arg-type]  # each value is checked above or in __post_init__


@hiding
def generate_totp(config: TOTPConfig, *, at: float | None = None) -> TOTPCode:
    """Compute a one-time code (RFC 6238).

    Args:
        config: Secret and parameters.
        at: Unix time in seconds, fractions cut off; now if not given.

    Returns:
        The code and its period.

    Raises:
        ValueError: `at` is no time since 1970.

    Example:
        ```python
        code = generate_totp(parse_totp_uri("otpauth://totp/GitHub:ada?secret=JBSWY3DPEHPK3PXP"))
        print(code.code, code.seconds_remaining)
        ```
    """
    if at is None:
        at = time.time()
    if not 0 <= at < _NO_TIME:
        raise ValueError(f"at is the Unix time in seconds, not {at!r}")
    now = int(at)
    counter = now // config.period
    start = counter * config.period
    end = start + config.period
    code = generate_hotp(decode_base32(config.secret), counter, config.algorithm, config.digits)
    return TOTPCode(code, start, end, end - now)


@hiding
def generate_hotp(key: bytes, counter: int, algorithm: str = "sha1", digits: int = 6) -> str:
    """The counter-based one-time password (RFC 4226) on which TOTP stands.

    Args:
        key: Shared secret, decoded.
        counter: Moving factor, 0 or more.
        algorithm: `sha1`, `sha256` or `sha512`.
        digits: Length of the code.
    """
    digest = hmac.digest(key, counter.to_bytes(8, "big"), str(algorithm))
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)


@hiding
def decode_base32(secret: str) -> bytes:
    """Decode a base32 secret: either case, padding optional, no spaces or hyphens.

    Raises:
        ValueError: It is not base32. The message does not hold the secret.
    """
    key = _b32decode(secret + "=" * (-len(secret) % 8))
    if key is None:
        raise ValueError(
            "the TOTP secret is not valid base32: it must hold only A-Z and 2-7, without spaces or hyphens"
        )
    return key


@hiding
def parse_totp_uri(uri: str) -> TOTPConfig:
    """Read an `otpauth://totp/...` URI, as QR codes for authenticator apps hold it.

    Args:
        uri: `otpauth://totp/Issuer:account?secret=...` with optional `issuer`, `algorithm` (sha1, sha256,
            sha512), `digits` (6, 8) and `period` (30, 60). Other parameters are ignored; the `issuer`
            parameter wins over the label's.

    Returns:
        The configuration, with the secret in upper case.

    Raises:
        ValueError: Not such a URI, or one of its values is not supported. The message does not hold the
            secret.
    """
    if not isinstance(uri, str):
        raise TypeError(f"an otpauth URI is text, not {type(uri).__name__}")
    parts = _split(uri)
    if parts is None or parts.scheme != "otpauth":
        raise ValueError("not an otpauth:// URI")
    kind = parts.netloc.lower()
    if kind == "hotp":
        raise ValueError("counter-based otpauth URIs (hotp) are not supported, only totp")
    if kind != "totp":
        raise ValueError("the otpauth URI is not of type totp: it must begin with otpauth://totp/")
    parameters = {name: values[0] for name, values in parse_qs(parts.query).items()}

    secret = parameters.get("secret", "").upper()
    if not secret:
        raise ValueError("the otpauth URI has no secret parameter")
    decode_base32(secret)
    label_issuer, account_name = _split_label(parts.path)
    return TOTPConfig(
        secret=secret,
        algorithm=_algorithm(parameters.get("algorithm", "sha1").lower()),
        digits=_one_of(VALID_DIGITS, "digits", parameters.get("digits", "6")),
        period=_one_of(VALID_PERIODS, "period", parameters.get("period", "30")),
        issuer=parameters.get("issuer", label_issuer),
        account_name=account_name,
    )


def _b32decode(padded: str) -> bytes | None:
    # Returns instead of raising: the UnicodeEncodeError behind some failures carries the secret.
    try:
        return b32decode(padded, casefold=True)
    except ValueError:
        return None


def _algorithm(value: str) -> TOTPAlgorithm:
    try:
        return TOTPAlgorithm(value)
    except ValueError:
        raise ValueError(f"the TOTP algorithm must be sha1, sha256 or sha512, not {value!r}") from None


def _one_of(allowed: tuple[int, ...], name: str, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number not in allowed:
        raise ValueError(f"the otpauth URI's {name} must be {allowed[0]} or {allowed[1]}, not {text!r}")
    return number


def _split(uri: str) -> SplitResult | None:
    try:
        return urlsplit(uri)
    except ValueError:
        return None


def _split_label(path: str) -> tuple[str | None, str | None]:
    issuer, colon, account = unquote(path.lstrip("/")).partition(":")
    if not colon:
        issuer, account = "", issuer
    return issuer.strip() if colon else None, account.strip() or None
