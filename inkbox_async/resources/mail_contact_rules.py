"""Contact rules for mail beyond the specification: what no server accepts is refused here."""

from __future__ import annotations

from ..generated.resources import mail as generated
from .checks import checked
from .rule_checks import check_rule_direction, check_rule_update


class MailContactRulesResource(generated.MailContactRulesResource):
    """Who may write to a mailbox."""

    list = checked(check_rule_direction)(generated.MailContactRulesResource.list)
    list_all = checked(check_rule_direction)(generated.MailContactRulesResource.list_all)
    create = checked(check_rule_direction)(generated.MailContactRulesResource.create)
    update = checked(check_rule_update)(generated.MailContactRulesResource.update)
