"""Contact rules for calls and texts beyond the specification: what no server accepts is refused here."""

from __future__ import annotations

from ..generated.resources import phone as generated
from .checks import checked
from .rule_checks import check_rule_direction, check_rule_update


class PhoneContactRulesResource(generated.PhoneContactRulesResource):
    """Who may call and text a phone number."""

    list = checked(check_rule_direction)(generated.PhoneContactRulesResource.list)
    list_all = checked(check_rule_direction)(generated.PhoneContactRulesResource.list_all)
    create = checked(check_rule_direction)(generated.PhoneContactRulesResource.create)
    update = checked(check_rule_update)(generated.PhoneContactRulesResource.update)
