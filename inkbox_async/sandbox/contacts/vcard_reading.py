"""From vCards to contacts: versions 4.0 (RFC 6350) and 3.0 (RFC 2426), and 2.1 as far as it is like them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any

from vobject.base import ContentLine
from vobject.vcard import splitFields

NAME_ORDER = ("family_name", "given_name", "middle_name", "name_prefix", "name_suffix")
LABEL = "X-ABLABEL"
"""What carries labels of people's own: a group ties it to the property that it names, as Apple began it."""

_LINE_END = re.compile(r"\r\n|\n|\r")
# What stands before the value. vobject's own expression takes exponential time on some lines.
_PROPERTY = re.compile(
    r'(?:([A-Za-z0-9_-]++)\.)?([A-Za-z0-9_-]++)((?:;(?:"[^"]*+"|[^":;]++)*+)*+):(.*)', re.DOTALL
)
_PARAMETER = re.compile(r';((?:"[^"]*+"|[^":;]++)*+)')
_PARAMETER_VALUE = re.compile(r'"([^"]*+)"|([^",]++)')
_ESCAPED = re.compile(r"\\([\\,;:nN])")
_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:[T ].*)?", re.DOTALL)
_SEPARATORS = re.compile(r"[\s().\-/]")
_APPLE_LABEL = re.compile(r"_\$!<(.*)>!\$_", re.DOTALL)
_READ = frozenset(("FN", "N", "ORG", "TITLE", "BDAY", "NOTE", "EMAIL", "TEL", "URL", "ADR", "ANNIVERSARY"))
NO_LABEL = frozenset(("pref", "internet", "voice"))
"""Types that say nothing about whose address it is."""

Values = dict[str, Any]  # Any: texts and lists of JSON objects, as in `CreateContactRequest`


class VCardError(ValueError):
    """A card cannot be read. The message says why."""


def split_cards(text: str) -> Iterator[list[str] | None]:
    """The cards of a stream, each as its unfolded lines; None for one that begins and does not end."""
    card: list[str] | None = None
    for line in _unfolded(text):
        mark = line.strip().upper()
        if mark == "BEGIN:VCARD":
            if card is not None:
                yield None
            card = []
        elif mark == "END:VCARD":
            if card is not None:
                yield card
            card = None
        elif card is not None:
            card.append(line)
    if card is not None:
        yield None


def read_card(lines: Iterable[str]) -> Values:
    """The contact on a card, in the form of a `CreateContactRequest`.

    Properties that a contact has no place for are left out, and so are dates without a year.

    Args:
        lines: What stands between `BEGIN:VCARD` and `END:VCARD`, unfolded.

    Raises:
        VCardError: A line is no property, or there is no `FN`.
    """
    parsed = [line for text in lines if text.strip() and (line := _parse(text)) is not None]
    labels = {line.group: _text(line) for line in parsed if line.name == LABEL and line.group}
    card: dict[str, list[ContentLine]] = {}
    for line in parsed:
        card.setdefault(line.name, []).append(line)
    values: Values = {
        "preferred_name": _first(card, "FN"),
        "company_name": _joined(_fields(card, "ORG")[:1], " "),
        "job_title": _first(card, "TITLE"),
        "notes": "\n".join(text for line in card.get("NOTE", ()) if (text := _text(line))),
        "birthday": next((day for line in card.get("BDAY", ()) if (day := _date(line))), None),
        "emails": _ranked(card.get("EMAIL", ()), labels, "value", _email),
        "phones": _ranked(card.get("TEL", ()), labels, "value_e164", _number),
        "websites": [
            {"label": _label(line, labels), "url": url}
            for line in card.get("URL", ())
            if (url := _text(line))
        ],
        "dates": list(_dates(parsed, labels)),
        "addresses": [a for line in card.get("ADR", ()) if (a := _address(line, labels))],
        "custom_fields": list(_custom_fields(parsed, labels)),
    }
    values |= {
        name: _joined([field], " ") for name, field in zip(NAME_ORDER, _fields(card, "N"), strict=False)
    }
    if not values["preferred_name"]:
        raise VCardError("FN is missing")
    return {name: value for name, value in values.items() if value}


def _unfolded(text: str) -> Iterator[str]:
    """Logical lines: a blank at the beginning continues the line before, as does a quoted-printable `=`."""
    parts: list[str] = []
    soft_break = False
    for line in _LINE_END.split(text):
        if parts and soft_break:
            parts.append(line)
        elif parts and line[:1] in (" ", "\t"):
            parts.append(line[1:])
        else:
            if parts:
                yield "".join(parts)
            parts = [line]
            quoted_printable = "QUOTED-PRINTABLE" in line.partition(":")[0].upper()
        soft_break = quoted_printable and parts[-1].endswith("=")
        if soft_break:
            parts[-1] = parts[-1][:-1]
    if parts:
        yield "".join(parts)


def _parse(text: str) -> ContentLine | None:
    """A property that is read, None for one that is not."""
    match = _PROPERTY.fullmatch(text)
    if match is None:
        raise VCardError(f"This line is no property: {text[:60]!r}")
    group, name, parameters, value = match.groups()
    if name.upper() not in _READ and not name.upper().startswith("X-"):
        return None
    try:
        return ContentLine(name, _parameters(parameters), value, group, encoded=True)
    except (LookupError, TypeError, ValueError) as error:  # no such charset, or bytes that are not in it
        raise VCardError(f"{name.upper()} cannot be decoded") from error


def _parameters(text: str) -> list[list[str]]:
    """Parameters as vobject takes them: name and values, or what stands alone, as in version 2.1."""
    found = []
    for parameter in _PARAMETER.findall(text):
        name, is_named, values = parameter.partition("=")
        texts = [quoted or plain for quoted, plain in _PARAMETER_VALUE.findall(values)]
        if name.upper() == "ENCODING":
            texts = [encoding.upper() for encoding in texts]  # vobject knows it in capitals only
        found.append([name.strip(), *texts] if is_named and texts else [name.strip()])
    return found


def _text(line: ContentLine) -> str:
    """The value without its escapes."""
    unescaped = _ESCAPED.sub(lambda match: "\n" if match[1] in "nN" else match[1], line.value)
    return unescaped.strip()


def _first(card: dict[str, list[ContentLine]], name: str) -> str:
    return next((text for line in card.get(name, ()) if (text := _text(line))), "")


def _fields(card: dict[str, list[ContentLine]], name: str) -> list[str | list[str]]:
    """The fields of a property whose value has several."""
    lines = card.get(name)
    return splitFields(lines[0].value) if lines else []


def _joined(fields: Iterable[str | list[str]], separator: str) -> str:
    """Fields, each of which may have several values, as one text."""
    values = [value for field in fields for value in ([field] if isinstance(field, str) else field)]
    return separator.join(text for value in values if (text := value.strip()))


def _types(line: ContentLine) -> list[str]:
    """The types of a property: `TYPE=work,voice`, `TYPE="work,voice"` or, in 2.1, just `WORK;VOICE`."""
    given = [*line.params.get("TYPE", ()), *line.singletonparams]
    return [name for text in given for part in text.split(",") if (name := part.strip().lower())]


def _label(line: ContentLine, labels: dict[str, str]) -> str | None:
    if own := labels.get(line.group or ""):
        match = _APPLE_LABEL.fullmatch(own)
        return match[1].lower() if match else own
    return next((name for name in _types(line) if name not in NO_LABEL), None)


def _rank(line: ContentLine) -> int | None:
    """How much a property is preferred: 1 most, 100 least, None not at all."""
    given = next(iter(line.params.get("PREF", ())), "")
    if given.isdecimal():
        return int(given[:3])
    return 1 if "pref" in _types(line) else None


def _ranked(
    lines: Iterable[ContentLine], labels: dict[str, str], name: str, read: Callable[[str], str]
) -> list[Values]:
    """Addresses or numbers; the one that is preferred most is the primary one."""
    parts: list[Values] = []
    best: tuple[int, Values] | None = None
    for line in lines:
        if not (value := read(_text(line))):
            continue
        part: Values = {"label": _label(line, labels), name: value}
        parts.append(part)
        rank = _rank(line)
        if rank is not None and (best is None or rank < best[0]):
            best = rank, part
    if best is not None:
        best[1]["is_primary"] = True
    return parts


def _email(text: str) -> str:
    return text[7:] if text[:7].lower() == "mailto:" else text


def _number(text: str) -> str:
    """A number without what is there for the eye, and without the parameters of a `tel:` URI (RFC 3966)."""
    if text[:4].lower() == "tel:":
        text = text[4:].partition(";")[0]
    return _SEPARATORS.sub("", text)


def _date(line: ContentLine) -> str | None:
    """The day in ISO form; None for a value without a year, or that is no date."""
    match = _DATE.fullmatch(_text(line))
    if match is None or "X-APPLE-OMIT-YEAR" in line.params:
        return None
    try:
        return date(*map(int, match.groups())).isoformat()
    except ValueError:
        return None


def _dates(lines: Iterable[ContentLine], labels: dict[str, str]) -> Iterator[Values]:
    for line in lines:
        if line.name in ("ANNIVERSARY", "X-ANNIVERSARY", "X-ABDATE") and (day := _date(line)):
            usual = None if line.name == "X-ABDATE" else "anniversary"
            yield {"label": _label(line, labels) or usual, "date": day}


def _address(line: ContentLine, labels: dict[str, str]) -> Values | None:
    fields = [*splitFields(line.value), *[""] * 7][:7]
    box, extended, street, *rest = fields
    texts = [_joined((street, extended, box), ", "), *(_joined([field], ", ") for field in rest)]
    if not any(texts):
        return None
    named = zip(("street", "city", "region", "postal", "country"), texts, strict=True)
    return {"label": _label(line, labels), **{name: text or None for name, text in named}}


def _custom_fields(lines: Iterable[ContentLine], labels: dict[str, str]) -> Iterator[Values]:
    """Extensions as fields of people's own; those beginning with X-AB serve an address book's display."""
    for line in lines:
        if not line.name.startswith("X-") or line.name.startswith("X-AB") or line.name == "X-ANNIVERSARY":
            continue
        if text := _text(line):
            yield {"label": _label(line, labels) or line.name[2:].lower() or line.name, "value": text}
