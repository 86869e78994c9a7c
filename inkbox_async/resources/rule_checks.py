"""What arguments of contact rules, on every channel, no server accepts."""

from __future__ import annotations

from ..generated.models.common import ContactRuleDirection
from ..unset import UNSET

_SIDES = (ContactRuleDirection.INBOUND, ContactRuleDirection.OUTBOUND)


def check_rule_direction(*, direction: object = UNSET, **_: object) -> None:
    """Refuse a direction that is none, with a ValueError."""
    if direction not in (UNSET, None, *ContactRuleDirection):
        raise ValueError(f"direction must be 'inbound', 'outbound' or 'both', not {direction!r}")


def check_rule_update(
    *, action: object = UNSET, direction: object = UNSET, apply_to: object = UNSET, **_: object
) -> None:
    """Refuse `apply_to` without a side or an action, or beside a direction, with a ValueError."""
    check_rule_direction(direction=direction)
    if apply_to is UNSET:
        return
    if apply_to not in _SIDES:
        raise ValueError(f"apply_to must be 'inbound' or 'outbound', not {apply_to!r}")
    if action is UNSET or direction is not UNSET:
        raise ValueError(
            "apply_to names the side that a new action is for: pass it with action, without direction"
        )
