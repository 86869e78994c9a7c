"""The operations on contact rules, the same on every channel, over the channel's own table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from sqlite3 import Row
from typing import Any
from uuid import uuid4

from .handling import ApiError, Call, invalid, not_found
from .rules import BOTH, Rule, covers, other_side, overlaps
from .store import Tx

_RULE = ("id", "action", "match_type", "match_target", "status", "direction")


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The contact rules of one channel.

    Queries, requests and models of all channels have the same fields; each channel shows its rows itself.

    Attributes:
        table: Where the rules are: `id`, `action`, `match_type`, `match_target`, `direction`, `status`,
            `created_at`, `updated_at`, and the owner's id.
        owner: Column of the owner's id.
        traffic: What the rules are about, for messages: `mail`.
        normalise: `(match_type, match_target)` to the target that is stored; raises ValueError.
        source: What is selected from: the table as `r`, joined with whatever rows are to show.
        columns: What is selected.
    """

    table: str
    owner: str
    traffic: str
    normalise: Callable[[str, str], str]
    source: str
    columns: str = "r.*"

    def listed(self, call: Call, condition: str, *values: object) -> list[Row]:
        """Rules under a condition and the query's filters, newest first."""
        query: Any = call.query  # Any: list queries of all channels have the same filters
        conditions, parameters = [condition], list(values)
        for name in ("action", "match_type"):
            if (value := getattr(query, name)) is not None:
                conditions.append(f"r.{name} = ?")
                parameters.append(value)
        if query.direction is not None:
            conditions.append("r.direction IN (?, ?)")
            parameters += [query.direction, BOTH]
        return call.tx.all(
            f"{self._select} AND {' AND '.join(conditions)} "
            "ORDER BY r.created_at DESC, r.id LIMIT ? OFFSET ?",
            *parameters,
            query.limit,
            query.offset,
        )

    def rule(self, call: Call, owner_id: str) -> Row:
        """The owner's rule that the path names.

        Raises:
            ApiError: 404 when there is none.
        """
        row = call.tx.one(
            f"{self._select} AND r.id = ? AND r.{self.owner} = ?", call.path["rule_id"], owner_id
        )
        if row is None:
            raise not_found("Contact rule")
        return row

    def rules_of(self, tx: Tx, owner_id: str) -> list[Rule]:
        """All rules of an owner, for a verdict."""
        rows = tx.all(f"SELECT * FROM {self.table} WHERE {self.owner} = ? AND status <> 'deleted'", owner_id)
        return [Rule(**{name: row[name] for name in _RULE}) for row in rows]

    def create(self, call: Call, owner_id: str) -> Row:
        """A new, active rule; or a known one that does the same in the other direction, widened to both.

        Raises:
            ApiError: 409 with `existing_rule_id` when another rule holds the target, 422 for a bad target.
        """
        body: Any = call.body  # Any: requests of all channels have the same fields
        match_type, action = str(body.match_type), str(body.action)
        try:
            target = self.normalise(match_type, body.match_target)
        except ValueError as error:
            raise invalid(f"Not a target: {error}", "body", "match_target") from None
        direction = BOTH if body.direction is None else str(body.direction)
        siblings = self._with_target(call, owner_id, match_type, target)
        for sibling in siblings:
            if not _can_widen(sibling, siblings, action, direction) and overlaps(
                sibling["direction"], direction
            ):
                raise _duplicate(sibling["id"], target)
        for sibling in siblings:
            if _can_widen(sibling, siblings, action, direction):
                return self._changed(call, sibling, direction=BOTH)
        return self._insert(call, owner_id, action, match_type, target, direction)

    def update(self, call: Call, owner_id: str) -> Row:
        """Change what a rule does, whether it takes effect, or which direction it covers.

        Raises:
            ApiError: 404 without such a rule, 409 when another one covers the direction, 422 for what does
                not go together.
        """
        body: Any = call.body  # Any: requests of all channels have the same fields
        rule = self.rule(call, owner_id)
        given = {name: getattr(body, name) for name in body.model_fields_set}
        for name, value in given.items():
            if value is None:
                raise invalid("Leave it out to keep what it is; null is no value", "body", name)
        changes = {name: str(given[name]) for name in ("action", "status", "direction") if name in given}
        if changes.get("status") == "deleted":
            raise invalid("A rule is deleted with DELETE", "body", "status")
        if "apply_to" in given:
            return self._update_one_side(call, owner_id, rule, str(given["apply_to"]), changes)
        if direction := changes.get("direction"):
            for sibling in self._with_target(call, owner_id, rule["match_type"], rule["match_target"]):
                if sibling["id"] != rule["id"] and overlaps(sibling["direction"], direction):
                    raise _duplicate(sibling["id"], rule["match_target"])
        return self._changed(call, rule, **changes)

    def delete(self, call: Call, owner_id: str) -> None:
        """Delete a rule; its target is free again.

        Raises:
            ApiError: 404 without such a rule.
        """
        rule = self.rule(call, owner_id)
        call.tx.update(self.table, rule["id"], status="deleted", updated_at=call.now)

    def delete_all(self, call: Call, owners: str, *values: object) -> None:
        """Delete the rules of owners that end; `owners` is an SQL expression or query for their ids."""
        call.tx.execute(
            f"UPDATE {self.table} SET status = 'deleted', updated_at = ? WHERE status <> 'deleted' "
            f"AND {self.owner} IN ({owners})",
            call.now,
            *values,
        )

    @property
    def _select(self) -> str:
        return f"SELECT {self.columns} FROM {self.source} WHERE r.status <> 'deleted'"

    def _with_target(self, call: Call, owner_id: str, match_type: str, target: str) -> list[Row]:
        return call.tx.all(
            f"{self._select} AND r.{self.owner} = ? AND r.match_type = ? AND r.match_target = ? "
            "ORDER BY r.created_at",
            owner_id,
            match_type,
            target,
        )

    def _update_one_side(
        self, call: Call, owner_id: str, rule: Row, side: str, changes: dict[str, str]
    ) -> Row:
        """Give one direction of a rule another action. A rule for both is split, and its id goes with it."""
        action = changes.get("action")
        if action is None or "direction" in changes or side == BOTH:
            message = "Give inbound or outbound, with an action and without a direction"
            raise invalid(message, "body", "apply_to")
        if not covers(rule["direction"], side):
            raise invalid(f"This rule does not cover {side} {self.traffic}", "body", "apply_to")
        if rule["direction"] == BOTH and action != rule["action"]:
            changes = {**changes, "direction": side}
            call.tx.insert(
                self.table,
                id=uuid4(),
                action=rule["action"],
                match_type=rule["match_type"],
                match_target=rule["match_target"],
                direction=other_side(side),
                status=rule["status"],
                created_at=rule["created_at"],
                updated_at=call.now,
                **{self.owner: owner_id},
            )
        return self._changed(call, rule, **changes)

    def _insert(
        self, call: Call, owner_id: str, action: str, match_type: str, target: str, direction: str
    ) -> Row:
        rule_id = str(uuid4())
        call.tx.insert(
            self.table,
            id=rule_id,
            action=action,
            match_type=match_type,
            match_target=target,
            direction=direction,
            created_at=call.now,
            updated_at=call.now,
            **{self.owner: owner_id},
        )
        return self._row(call, rule_id)

    def _changed(self, call: Call, rule: Row, **changes: str) -> Row:
        if any(rule[name] != value for name, value in changes.items()):
            call.tx.update(self.table, rule["id"], updated_at=call.now, **changes)
        return self._row(call, rule["id"])

    def _row(self, call: Call, rule_id: str) -> Row:
        row = call.tx.one(f"{self._select} AND r.id = ?", rule_id)
        if row is None:
            raise not_found("Contact rule")
        return row


def _can_widen(rule: Row, siblings: list[Row], action: str, direction: str) -> bool:
    """Whether a lone one-sided rule becomes, with the new one, one rule for both directions."""
    return (
        len(siblings) == 1
        and rule["status"] == "active"
        and rule["action"] == action
        and rule["direction"] not in (BOTH, direction)
    )


def _duplicate(rule_id: str, target: str) -> ApiError:
    message = f"There is a rule for {target} already. Change or delete that one."
    return ApiError(409, {"message": message, "existing_rule_id": rule_id})
