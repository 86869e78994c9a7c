"""Which modules hold the handlers of operations. A new area adds its modules here."""

from __future__ import annotations

from importlib import import_module

MODULES: tuple[str, ...] = (
    "access",
    "api_keys",
    "console",
    "contacts.access",
    "contacts.book",
    "contacts.resolution",
    "contacts.vcards",
    "control",
    "domains",
    "identities",
    "imessage.assignments",
    "imessage.contact_rules",
    "imessage.conversations",
    "imessage.media",
    "imessage.messages",
    "imessage.people",
    "imessage.reactions",
    "imessage.triage",
    "mail.contact_rules",
    "mail.links",
    "mail.mailboxes",
    "mail.messages",
    "mail.outgoing",
    "mail.outsiders",
    "mail.threads",
    "notes",
    "phone.calls",
    "phone.contact_rules",
    "phone.conversations",
    "phone.media",
    "phone.numbers",
    "phone.opt_ins",
    "phone.outsiders",
    "phone.sending",
    "phone.texts",
    "signing_keys",
    "signup",
    "tunnels",
    "vault",
    "vault_secrets",
    "webhooks.journal",
    "webhooks.subscriptions",
    "whoami",
)


def load() -> None:
    """Import every module with handlers, which registers them."""
    for name in MODULES:
        import_module(f"{__package__}.{name}")
