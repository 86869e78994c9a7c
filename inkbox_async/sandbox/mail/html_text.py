"""HTML as plain text, in linear time: for snippets, search, and the text of forwarded mail."""

from __future__ import annotations

import html
import re

from inkbox_async.sandbox.mail.words import storable

_MOST_DIGITS = 7
"""Digits of the largest character's number, 1114111."""
_LONG_REFERENCE = re.compile(
    r"&#(?P<mark>[xX]?)(?P<digits>(?<=[xX])[0-9a-fA-F]{8,}|(?<=#)[0-9]{8,});?", re.ASCII
)
_TAG_NAME = re.compile(r"/?([A-Za-z][A-Za-z0-9]*)")
_INVISIBLE = frozenset({"head", "math", "noscript", "script", "style", "svg", "template", "title"})
_LINE = frozenset({"br", "div", "dd", "dl", "dt", "hr", "li", "ol", "option", "pre", "section", "tr", "ul"})
_PARAGRAPH = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "p", "table"})
_CELL = frozenset({"td", "th"})
_CLOSING = {name: re.compile(f"</{name}", re.IGNORECASE | re.ASCII) for name in _INVISIBLE}


def html_to_text(source: str) -> str:
    """The words of an HTML document, a line a block, entities resolved, scripts and styles left out."""
    out: list[str] = []
    position = 0
    while (start := source.find("<", position)) >= 0:
        out.append(source[position:start])
        if source.startswith("<!--", start):
            position = _after(source, "-->", start + 4)
            continue
        name_match = _TAG_NAME.match(source, start + 1)
        if name_match is None and source[start + 1 : start + 2] not in {"!", "?"}:
            out.append("<")
            position = start + 1
            continue
        position = _after(source, ">", start + 1)
        if name_match is None:
            continue
        name = name_match.group(1).lower()
        if name in _INVISIBLE and source[start + 1] != "/":
            closing = _CLOSING[name].search(source, position)
            position = _after(source, ">", closing.end()) if closing else len(source)
        elif name in _PARAGRAPH:
            out.append("\n\n")
        elif name in _LINE:
            out.append("\n")
        elif name in _CELL:
            out.append(" ")
    out.append(source[position:])
    return _tidy(storable(html.unescape(short_references("".join(out)))))


def short_references(source: str) -> str:
    """The same HTML with numeric character references that Python's own parser can read.

    It takes their digits for a number however many there are, and gives up at thousands.
    """
    return _LONG_REFERENCE.sub(_shortened, source)


def _shortened(match: re.Match[str]) -> str:
    mark, digits = match["mark"], match["digits"].lstrip("0")
    return f"&#{mark}{digits or '0'};" if len(digits) <= _MOST_DIGITS else "\ufffd"


def _after(source: str, mark: str, start: int) -> int:
    found = source.find(mark, start)
    return len(source) if found < 0 else found + len(mark)


def _tidy(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.replace("\r", "").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
