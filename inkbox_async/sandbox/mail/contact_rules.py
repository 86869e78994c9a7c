"""The operations on contact rules of a mailbox, and on those of the whole organization."""

from __future__ import annotations

from inkbox_async.generated.models.mail import MailContactRule
from inkbox_async.generated.queries.mail import MailContactRulesListAllQuery
from inkbox_async.sandbox import lifecycle
from inkbox_async.sandbox.handling import Call, handles
from inkbox_async.sandbox.mail.filters import normalise_target
from inkbox_async.sandbox.mail.rows import mailbox_of, show_rule
from inkbox_async.sandbox.rule_book import RuleBook

RULES = RuleBook(
    table="mail_contact_rules",
    owner="mailbox_id",
    traffic="mail",
    normalise=normalise_target,
    source="mail_contact_rules AS r JOIN mailboxes AS b ON b.id = r.mailbox_id",
    columns="r.*, b.identity_id",
)


@handles("mail_contact_rules.list")
def list_rules(call: Call) -> list[MailContactRule]:
    """A mailbox's rules, newest first."""
    return [show_rule(row) for row in RULES.listed(call, "r.mailbox_id = ?", mailbox_of(call)["id"])]


@handles("mail_contact_rules.list_all")
def list_all(call: Call) -> list[MailContactRule]:
    """The rules of every living mailbox of the organization, newest first."""
    query: MailContactRulesListAllQuery = call.query
    condition = "b.organization_id = ? AND b.status <> 'deleted'"
    values: list[object] = [call.caller.organization_id]
    for column, wanted in (("b.id", query.mailbox_id), ("b.identity_id", query.agent_identity_id)):
        if wanted is not None:
            condition += f" AND {column} = ?"
            values.append(wanted)
    return [show_rule(row) for row in RULES.listed(call, condition, *values)]


@handles("mail_contact_rules.get")
def get(call: Call) -> MailContactRule:
    """One rule."""
    return show_rule(RULES.rule(call, mailbox_of(call)["id"]))


@handles("mail_contact_rules.create")
def create(call: Call) -> MailContactRule:
    """A new, active rule."""
    return show_rule(RULES.create(call, mailbox_of(call)["id"]))


@handles("mail_contact_rules.update")
def update(call: Call) -> MailContactRule:
    """Change what a rule does, whether it takes effect, or which direction it covers."""
    return show_rule(RULES.update(call, mailbox_of(call)["id"]))


@handles("mail_contact_rules.delete")
def delete(call: Call) -> None:
    """Delete a rule; its target is free again."""
    RULES.delete(call, mailbox_of(call)["id"])


@lifecycle.when_identity_is_deleted
def delete_rules_of(call: Call, identity_id: str) -> None:
    """An identity's rules end with it."""
    RULES.delete_all(call, "SELECT id FROM mailboxes WHERE identity_id = ?", identity_id)
