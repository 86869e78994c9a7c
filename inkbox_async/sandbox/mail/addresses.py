"""E-mail addresses and domains: checking, normalising and comparing them (RFC 5321, RFC 5322, RFC 6531)."""

from __future__ import annotations

import re
import unicodedata

MAX_ADDRESS_LENGTH = 254
"""Octets of a whole address: the 256 of a path in RFC 5321, section 4.5.3.1.3, less the angle brackets."""
MAX_LOCAL_PART_LENGTH = 64
MAX_DOMAIN_LENGTH = 253

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+")
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"')


def normalise_domain(domain: str) -> str:
    """The comparable form of a domain: lower case, internationalised labels as A-labels.

    Raises:
        ValueError: It is not a fully qualified domain name; the message says why.
    """
    text = domain.strip().removesuffix(".")
    if len(text) > MAX_DOMAIN_LENGTH:
        raise ValueError(f"a domain has at most {MAX_DOMAIN_LENGTH} characters")
    labels = [_normalise_label(label) for label in re.split(r"[.\u3002\uff0e\uff61]", text)]
    normal = ".".join(labels)
    if len(labels) < 2 or len(normal) > MAX_DOMAIN_LENGTH:
        raise ValueError(f"{domain!r} is not a full domain name, such as example.com")
    return normal


def _normalise_label(label: str) -> str:
    if not label.isascii():
        try:
            label = label.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError(f"{label!r} is not a label of a domain name") from None
    label = label.lower()
    if not _LABEL.fullmatch(label):
        raise ValueError(f"{label!r} is not a label of a domain name")
    return label


def normalise_address(address: str) -> str:
    """The comparable form of an address: no outer space, lower case, the domain normalised.

    RFC 5321 lets a receiver tell `Ada@` from `ada@`; no receiver of today does, and neither does this one.

    Raises:
        ValueError: It is not one bare address (`local@domain.tld`); the message says why.
    """
    text = address.strip()
    local, at, domain = text.rpartition("@")
    if text.endswith(">"):
        raise ValueError(f"{address!r} is more than an e-mail address: leave out the name and the <>")
    if not at or not local or not domain:
        raise ValueError(f"{address!r} is not an e-mail address: write it as name@example.com")
    if len(local.encode("utf-8", "replace")) > MAX_LOCAL_PART_LENGTH:
        raise ValueError(f"the part before the @ has at most {MAX_LOCAL_PART_LENGTH} bytes")
    if not _QUOTED.fullmatch(local) and not all(_ATOM.fullmatch(atom) for atom in local.split(".")):
        raise ValueError(f"{address!r} is not an e-mail address: check the part before the @")
    if any(
        unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"} for char in local if char != " "
    ):
        raise ValueError(f"{address!r} has an invisible character before the @")
    normal = f"{unicodedata.normalize('NFC', local).lower()}@{normalise_domain(domain)}"
    if len(normal.encode()) > MAX_ADDRESS_LENGTH:
        raise ValueError(f"an e-mail address has at most {MAX_ADDRESS_LENGTH} bytes")
    return normal


def comparable(address: str) -> str:
    """`normalise_address` for addresses that others wrote: never raises, at worst lower-cases."""
    try:
        return normalise_address(address)
    except ValueError:
        return address.strip().lower()


def domain_of(address: str) -> str:
    """The part after the last `@`, empty when there is none."""
    return address.rpartition("@")[2] if "@" in address else ""
