"""Which modules hold the handlers of operations. They are imported by the first request that needs them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

# What an identity brings with it or leaves behind belongs to many areas.
_LIFECYCLE = (
    "access",
    "contacts.book",
    "identities",
    "imessage.assignments",
    "imessage.contact_rules",
    "mail.contact_rules",
    "notes",
    "tunnels",
    "vault_secrets",
)

RESOURCES: Mapping[str, tuple[str, ...]] = {
    "api_keys": ("api_keys",),
    "calls": ("phone.calls",),
    "contacts": ("contacts.access", "contacts.book", "contacts.vcards"),
    "control": (
        "control",
        "imessage.people",
        "mail.outsiders",
        "phone.outsiders",
        "tunnels",
        "webhooks.journal",
    ),
    "domains": ("domains",),
    "identities": _LIFECYCLE,
    "imessage_contact_rules": ("imessage.contact_rules",),
    "imessages": (
        "imessage.assignments",
        "imessage.conversations",
        "imessage.media",
        "imessage.messages",
        "imessage.reactions",
        "imessage.triage",
    ),
    "mail_contact_rules": ("mail.contact_rules",),
    "mailboxes": ("mail.mailboxes",),
    "messages": ("mail.links", "mail.messages", "mail.outgoing"),
    "notes": ("notes",),
    "phone_contact_rules": ("phone.contact_rules",),
    "phone_numbers": ("phone.numbers",),
    "signing_keys": ("signing_keys",),
    "signup": ("signup", *_LIFECYCLE),
    "sms_opt_ins": ("phone.opt_ins",),
    "texts": ("phone.conversations", "phone.sending", "phone.texts"),
    "threads": ("mail.threads",),
    "transcripts": ("phone.calls",),
    "tunnels": ("tunnels",),
    "vault": ("vault", "vault_secrets"),
    "webhooks": ("webhooks.subscriptions",),
    "whoami": ("whoami",),
}
"""The modules of every resource, which is the first part of an operation's id. A new one is added here."""

AT_START: tuple[str, ...] = ("console", "contacts.resolution", "imessage.media", "mail.links", "phone.media")
"""Modules that serve paths outside the specification, and what every area's events ask."""


def load() -> None:
    """Import what is needed from the start."""
    _import(AT_START)


def load_for(operation_id: str) -> None:
    """Import the modules behind an operation, which registers its handler."""
    _import(RESOURCES.get(operation_id.partition(".")[0], ()))


def load_all() -> None:
    """Import every module with handlers."""
    load()
    for modules in RESOURCES.values():
        _import(modules)


def _import(modules: tuple[str, ...]) -> None:
    for name in modules:
        import_module(f"{__package__}.{name}")
