"""Signatures of mailboxes: made harmless when they are set, added to outgoing mail when it is sent."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from sqlite3 import Row

from inkbox_async.sandbox.mail.compose import text_to_html
from inkbox_async.sandbox.mail.html_text import short_references

_TAGS = frozenset(
    {"a", "b", "br", "div", "em", "font", "hr", "i", "img", "li", "ol", "p", "s", "small", "span", "strong"}
    | {"sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul"}
)
_EMPTY_TAGS = frozenset({"br", "hr", "img"})
_DROPPED_WITH_CONTENT = frozenset({"script", "style", "head", "title", "iframe", "object", "svg", "math"})
_ATTRIBUTES = frozenset(
    {"align", "alt", "border", "cellpadding", "cellspacing", "color", "colspan", "dir", "face", "height"}
    | {"rowspan", "size", "style", "title", "valign", "width"}
)
_LINK = re.compile(r"(?:https?://|mailto:|tel:)", re.IGNORECASE)
_UNSAFE_STYLE = re.compile(r"url\s*\(|expression|javascript|@import|behavior|\\", re.IGNORECASE)
_BODY_END = re.compile(r"</body\s*>", re.IGNORECASE)


def sanitise(source: str) -> str:
    """A signature's HTML with nothing left but formatting, links, and pictures from elsewhere.

    Raises:
        ValueError: A picture's address is not an absolute `https://` one, or it is no HTML.
    """
    cleaner = _Cleaner()
    try:
        cleaner.feed(short_references(source))
        cleaner.close()
    except AssertionError:
        raise ValueError("a signature's HTML has no marked sections (<![...)") from None
    return "".join(cleaner.out)


def sign(mailbox: Row, text: str | None, page: str | None) -> tuple[str | None, str | None]:
    """The bodies of a message with the signature of its mailbox below them, when it is switched on."""
    if not mailbox["signature_enabled"]:
        return text, page
    signature_text, signature_html = mailbox["signature_text"], mailbox["signature_html"]
    if signature_text and (text is not None or page is None):
        text = f"{text}\n\n{signature_text}" if text else signature_text
    if page is not None and (signature_html or signature_text):
        page = append_html(page, f"<br><br>{signature_html or text_to_html(signature_text)}")
    return text, page


def append_html(page: str, addition: str) -> str:
    """HTML with something at its end: inside the body, where there is one."""
    ends = list(_BODY_END.finditer(page))
    position = ends[-1].start() if ends else len(page)
    return page[:position] + addition + page[position:]


class _Cleaner(HTMLParser):
    """Writes again what is allowed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self._dropping: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropping is None and tag in _DROPPED_WITH_CONTENT:
            self._dropping = tag
        if self._dropping is None and tag in _TAGS:
            written = "".join(
                f' {name}="{html.escape(value)}"'
                for name, value in attrs
                if value and _is_kept(tag, name, value)
            )
            self.out.append(f"<{tag}{written}>")

    def handle_endtag(self, tag: str) -> None:
        if self._dropping is not None:
            self._dropping = None if tag == self._dropping else self._dropping
        elif tag in _TAGS and tag not in _EMPTY_TAGS:
            self.out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self._dropping is None:
            self.out.append(html.escape(data, quote=False))


def _is_kept(tag: str, name: str, value: str) -> bool:
    if tag == "img" and name == "src":
        if not value.lower().startswith("https://"):
            raise ValueError("pictures in a signature are linked by an absolute https:// address")
        return True
    if tag == "a" and name == "href":
        return _LINK.match(value) is not None
    return name in _ATTRIBUTES and not (name == "style" and _UNSAFE_STYLE.search(value))
