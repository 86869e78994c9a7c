"""The operations on contact rules of an identity for iMessage, and the verdict on one number."""

from __future__ import annotations

from sqlite3 import Row

from inkbox_async.generated.models.imessage import IMessageContactRule
from inkbox_async.generated.queries.imessage import ImessageContactRulesListAllQuery
from inkbox_async.sandbox import lifecycle
from inkbox_async.sandbox.e164 import number_target
from inkbox_async.sandbox.handling import Call, handles
from inkbox_async.sandbox.rule_book import RuleBook
from inkbox_async.sandbox.rules import Verdict, number_verdict
from inkbox_async.sandbox.store import Tx
from inkbox_async.sandbox.visibility import own_identity

RULES = RuleBook(
    table="imessage_contact_rules",
    owner="identity_id",
    traffic="iMessages",
    normalise=number_target,
    source="imessage_contact_rules AS r JOIN identities AS i ON i.id = r.identity_id",
)


def verdict_on(tx: Tx, identity: Row, number: str, direction: str) -> Verdict:
    """Whether a person may write to an identity (`inbound`), or it to them (`outbound`).

    Phone and iMessage have one filter mode; their rules are apart.
    """
    mode = identity[f"phone_filter_mode_{direction}"]
    return number_verdict(number, mode, RULES.rules_of(tx, identity["id"]), direction)


@handles("imessage_contact_rules.list")
def list_rules(call: Call) -> list[IMessageContactRule]:
    """An identity's rules, newest first."""
    return [_show(row) for row in RULES.listed(call, "r.identity_id = ?", own_identity(call)["id"])]


@handles("imessage_contact_rules.list_all")
def list_all(call: Call) -> list[IMessageContactRule]:
    """The rules of every living identity of the organization, newest first."""
    query: ImessageContactRulesListAllQuery = call.query
    condition = "i.organization_id = ? AND i.status <> 'deleted'"
    values: list[object] = [call.caller.organization_id]
    if query.agent_identity_id is not None:
        condition += " AND i.id = ?"
        values.append(query.agent_identity_id)
    return [_show(row) for row in RULES.listed(call, condition, *values)]


@handles("imessage_contact_rules.get")
def get(call: Call) -> IMessageContactRule:
    """One rule."""
    return _show(RULES.rule(call, own_identity(call)["id"]))


@handles("imessage_contact_rules.create")
def create(call: Call) -> IMessageContactRule:
    """A new, active rule."""
    return _show(RULES.create(call, own_identity(call)["id"]))


@handles("imessage_contact_rules.update")
def update(call: Call) -> IMessageContactRule:
    """Change what a rule does, whether it takes effect, or which direction it covers."""
    return _show(RULES.update(call, own_identity(call)["id"]))


@handles("imessage_contact_rules.delete")
def delete(call: Call) -> None:
    """Delete a rule; its number is free again."""
    RULES.delete(call, own_identity(call)["id"])


@lifecycle.when_identity_is_deleted
def delete_rules_of(call: Call, identity_id: str) -> None:
    """An identity's rules end with it."""
    RULES.delete_all(call, "?", identity_id)


def _show(row: Row) -> IMessageContactRule:
    return IMessageContactRule(
        id=row["id"],
        agent_identity_id=row["identity_id"],
        action=row["action"],
        match_type=row["match_type"],
        match_target=row["match_target"],
        status=row["status"],
        direction=row["direction"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
