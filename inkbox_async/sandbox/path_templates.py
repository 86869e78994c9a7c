"""Paths of the specification as resources of the HTTP server, each with and without a last slash.

Official clients do not follow redirects, so both spellings are served as they come. aiohttp's own resources
would need two for every path, and compile an expression for each, which is a third of a sandbox's start.
"""

from __future__ import annotations

from aiohttp import web
from yarl import URL


class PathTemplate(web.Resource):
    """Every path that a template such as `/api/v1/identities/{agent_handle}` stands for.

    Args:
        template: Segments are literal, or a parameter with or without a literal end, as `{contact_id}.vcf`.
    """

    def __init__(self, template: str) -> None:
        super().__init__()
        self._template = template.removesuffix("/")
        self._segments = [_segment(text) for text in self._template.split("/")]

    @property
    def canonical(self) -> str:
        """The template, without a last slash."""
        return self._template or "/"

    def add_prefix(self, prefix: str) -> None:
        """Put a path in front, as for a sub-application."""
        self._template = prefix + self._template
        self._segments = [_segment(text) for text in self._template.split("/")]

    def raw_match(self, path: str) -> bool:
        """Whether this is the resource of a template."""
        return path.removesuffix("/") == self._template

    def get_info(self) -> dict[str, str]:  # type: ignore[override]  # aiohttp's own keys are not public
        """What aiohttp shows of a resource."""
        return {"formatter": self._template}

    def url_for(self, **parts: str) -> URL:
        """A path that matches."""
        return URL.build(path=self._template.format_map(parts))

    def _match(self, path: str) -> dict[str, str] | None:
        """The parameters, or None for another path. `%2F` and `%25` are still encoded in `path`."""
        given = path.removesuffix("/").split("/")
        if len(given) != len(self._segments):
            return None
        found: dict[str, str] = {}
        for (name, literal), text in zip(self._segments, given, strict=True):
            if not name:
                if text != literal:
                    return None
                continue
            value = text.removesuffix(literal)
            if not text.endswith(literal) or not value or "{" in value or "}" in value:
                return None
            found[name] = value.replace("%2F", "/").replace("%25", "%")
        return found


def _segment(text: str) -> tuple[str, str]:
    """Name of a segment's parameter, empty without one, and what is literal in it."""
    if not text.startswith("{"):
        return "", text
    name, _, end = text[1:].partition("}")
    return name, end
