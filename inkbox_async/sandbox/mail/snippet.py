"""The one-line preview of a message that lists show."""

from __future__ import annotations

from inkbox_async.sandbox.mail.html_text import html_to_text

SNIPPET_LENGTH = 200
_LOOKED_AT = 500_000
"""Characters of an HTML body that are searched for the beginning of its text."""


def snippet(body_text: str | None, body_html: str | None) -> str | None:
    """The first `SNIPPET_LENGTH` characters of the body on one line; from the HTML when there is no text.

    Returns None when the message says nothing.
    """
    text = (
        body_text if body_text and not body_text.isspace() else html_to_text((body_html or "")[:_LOOKED_AT])
    )
    line = " ".join(text.lstrip()[: SNIPPET_LENGTH * 20].split())
    return line[:SNIPPET_LENGTH].rstrip() or None
