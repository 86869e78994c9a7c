"""The operations on contact rules of a mailbox, and on those of the whole organization."""

from __future__ import annotations

from sqlite3 import Row
from uuid import uuid4

from inkbox_async.generated.models.mail import (
    CreateMailContactRuleRequest,
    MailContactRule,
    UpdateMailContactRuleRequest,
)
from inkbox_async.generated.queries.mail import MailContactRulesListAllQuery, MailContactRulesListQuery
from inkbox_async.sandbox import lifecycle
from inkbox_async.sandbox.handling import ApiError, Call, handles, invalid, not_found
from inkbox_async.sandbox.mail.filters import BOTH, covers, normalise_target, other_side, overlaps
from inkbox_async.sandbox.mail.rows import mailbox_of, show_rule

_SELECT = (
    "SELECT r.*, b.identity_id FROM mail_contact_rules AS r JOIN mailboxes AS b ON b.id = r.mailbox_id "
    "WHERE r.status <> 'deleted'"
)


@handles("mail_contact_rules.list")
def list_rules(call: Call) -> list[MailContactRule]:
    """A mailbox's rules, newest first."""
    return _listed(call, "r.mailbox_id = ?", mailbox_of(call)["id"])


@handles("mail_contact_rules.list_all")
def list_all(call: Call) -> list[MailContactRule]:
    """The rules of every living mailbox of the organization, newest first."""
    query: MailContactRulesListAllQuery = call.query
    condition = "b.organization_id = ? AND b.status <> 'deleted'"
    values: list[object] = [call.caller.organization_id]
    if query.mailbox_id is not None:
        condition += " AND b.id = ?"
        values.append(query.mailbox_id)
    return _listed(call, condition, *values)


@handles("mail_contact_rules.get")
def get(call: Call) -> MailContactRule:
    """One rule."""
    return show_rule(_rule_of(call, mailbox_of(call)))


@handles("mail_contact_rules.create")
def create(call: Call) -> MailContactRule:
    """A new, active rule; or one there is, if the new one only covers the other direction in the same way."""
    body: CreateMailContactRuleRequest = call.body
    mailbox = mailbox_of(call)
    match_type, action = str(body.match_type), str(body.action)
    try:
        target = normalise_target(match_type, body.match_target)
    except ValueError as error:
        raise invalid(f"Not a target: {error}", "body", "match_target") from None
    direction = BOTH if body.direction is None else str(body.direction)
    siblings = _with_target(call, mailbox, match_type, target)
    for sibling in siblings:
        if not _can_widen(sibling, siblings, action, direction) and overlaps(sibling["direction"], direction):
            raise _duplicate(sibling["id"], target)
    for sibling in siblings:
        if _can_widen(sibling, siblings, action, direction):
            return _changed(call, mailbox, sibling, direction=BOTH)
    return _insert(call, mailbox, action, match_type, target, direction)


@handles("mail_contact_rules.update")
def update(call: Call) -> MailContactRule:
    """Change what a rule does, whether it takes effect, or which direction it covers."""
    body: UpdateMailContactRuleRequest = call.body
    mailbox = mailbox_of(call)
    rule = _rule_of(call, mailbox)
    given = {name: getattr(body, name) for name in body.model_fields_set}
    for name, value in given.items():
        if value is None:
            raise invalid("Leave it out to keep what it is; null is no value", "body", name)
    if "apply_to" in given:
        return _update_one_side(call, mailbox, rule, body)
    changes = {name: str(given[name]) for name in ("action", "status", "direction") if name in given}
    if changes.get("status") == "deleted":
        raise invalid("A rule is deleted with DELETE", "body", "status")
    if direction := changes.get("direction"):
        for sibling in _with_target(call, mailbox, rule["match_type"], rule["match_target"]):
            if sibling["id"] != rule["id"] and overlaps(sibling["direction"], direction):
                raise _duplicate(sibling["id"], rule["match_target"])
    return _changed(call, mailbox, rule, **changes)


@handles("mail_contact_rules.delete")
def delete(call: Call) -> None:
    """Delete a rule; its target is free again."""
    rule = _rule_of(call, mailbox_of(call))
    call.tx.update("mail_contact_rules", rule["id"], status="deleted", updated_at=call.now)


@lifecycle.when_identity_is_deleted
def delete_rules_of(call: Call, identity_id: str) -> None:
    """An identity's rules end with it."""
    call.tx.execute(
        "UPDATE mail_contact_rules SET status = 'deleted', updated_at = ? WHERE status <> 'deleted' "
        "AND mailbox_id IN (SELECT id FROM mailboxes WHERE identity_id = ?)",
        call.now,
        identity_id,
    )


def _listed(call: Call, condition: str, *values: object) -> list[MailContactRule]:
    """Rules under a condition and the query's filters; both list queries have the same."""
    query: MailContactRulesListQuery | MailContactRulesListAllQuery = call.query
    conditions, parameters = [condition], list(values)
    for name in ("action", "match_type"):
        if (value := getattr(query, name)) is not None:
            conditions.append(f"r.{name} = ?")
            parameters.append(value)
    if query.direction is not None:
        conditions.append("r.direction IN (?, ?)")
        parameters += [query.direction, BOTH]
    rows = call.tx.all(
        f"{_SELECT} AND {' AND '.join(conditions)} ORDER BY r.created_at DESC, r.id LIMIT ? OFFSET ?",
        *parameters,
        query.limit,
        query.offset,
    )
    return [show_rule(row) for row in rows]


def _rule_of(call: Call, mailbox: Row) -> Row:
    row = call.tx.one(f"{_SELECT} AND r.id = ? AND r.mailbox_id = ?", call.path["rule_id"], mailbox["id"])
    if row is None:
        raise not_found("Contact rule")
    return row


def _with_target(call: Call, mailbox: Row, match_type: str, target: str) -> list[Row]:
    return call.tx.all(
        f"{_SELECT} AND r.mailbox_id = ? AND r.match_type = ? AND r.match_target = ? ORDER BY r.created_at",
        mailbox["id"],
        match_type,
        target,
    )


def _can_widen(rule: Row, siblings: list[Row], action: str, direction: str) -> bool:
    """Whether a lone one-sided rule becomes, with the new one, one rule for both directions."""
    return (
        len(siblings) == 1
        and rule["status"] == "active"
        and rule["action"] == action
        and rule["direction"] not in (BOTH, direction)
    )


def _update_one_side(
    call: Call, mailbox: Row, rule: Row, body: UpdateMailContactRuleRequest
) -> MailContactRule:
    """Give one direction of a rule another action. A rule for both is split, and its id goes with it."""
    side = str(body.apply_to)
    if body.action is None or "direction" in body.model_fields_set or side == BOTH:
        raise invalid("Give inbound or outbound, with an action and without a direction", "body", "apply_to")
    if not covers(rule["direction"], side):
        raise invalid(f"This rule does not cover {side} mail", "body", "apply_to")
    action = str(body.action)
    changes = {"action": action}
    if body.status is not None:
        changes["status"] = str(body.status)
    if rule["direction"] == BOTH and action != rule["action"]:
        changes["direction"] = side
        call.tx.insert(
            "mail_contact_rules",
            id=uuid4(),
            mailbox_id=mailbox["id"],
            action=rule["action"],
            match_type=rule["match_type"],
            match_target=rule["match_target"],
            direction=other_side(side),
            status=rule["status"],
            created_at=rule["created_at"],
            updated_at=call.now,
        )
    return _changed(call, mailbox, rule, **changes)


def _insert(
    call: Call, mailbox: Row, action: str, match_type: str, target: str, direction: str
) -> MailContactRule:
    rule_id = str(uuid4())
    call.tx.insert(
        "mail_contact_rules",
        id=rule_id,
        mailbox_id=mailbox["id"],
        action=action,
        match_type=match_type,
        match_target=target,
        direction=direction,
        created_at=call.now,
        updated_at=call.now,
    )
    return _shown(call, rule_id)


def _changed(call: Call, mailbox: Row, rule: Row, **changes: str) -> MailContactRule:
    if any(rule[name] != value for name, value in changes.items()):
        call.tx.update("mail_contact_rules", rule["id"], updated_at=call.now, **changes)
    return _shown(call, rule["id"])


def _shown(call: Call, rule_id: str) -> MailContactRule:
    row = call.tx.one(f"{_SELECT} AND r.id = ?", rule_id)
    if row is None:
        raise not_found("Contact rule")
    return show_rule(row)


def _duplicate(rule_id: str, target: str) -> ApiError:
    message = f"There is a rule for {target} already. Change or delete that one."
    return ApiError(409, {"message": message, "existing_rule_id": rule_id})
