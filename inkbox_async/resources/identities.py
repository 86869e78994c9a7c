"""Identities beyond the specification: combinations of arguments that no server accepts are refused here."""

from __future__ import annotations

from ..generated.models.common import FilterMode
from ..generated.resources import identities as generated
from ..unset import UNSET
from .checks import checked, naming_handle_conflicts

_CHANNELS = ("mail", "phone", "slack")


def _check_claim(claim: object, imessage_enabled: object) -> None:
    if claim is None:
        return
    if claim is not True:
        raise ValueError("claim_imessage_number can only be True; leave it out to claim no line")
    if imessage_enabled is False:
        raise ValueError("claim_imessage_number needs iMessage: do not pass imessage_enabled=False with it")


def _check_create(
    *, claim_imessage_number: object = None, imessage_enabled: object = None, **_: object
) -> None:
    _check_claim(claim_imessage_number, imessage_enabled)
    if claim_imessage_number and imessage_enabled is not True:
        raise ValueError("claim_imessage_number=True needs imessage_enabled=True")


def _check_update(
    *,
    claim_imessage_number: object = None,
    imessage_enabled: object = None,
    imessage_number_id: object = UNSET,
    idempotency_key: object = None,
    imessage_filter_mode: object = None,
    **modes: object,
) -> None:
    _check_claim(claim_imessage_number, imessage_enabled)
    if claim_imessage_number:
        if imessage_number_id is not UNSET:
            raise ValueError("pass claim_imessage_number or imessage_number_id, not both")
        if idempotency_key is None:
            raise ValueError(
                "claim_imessage_number=True needs an idempotency_key, so that a repeat claims no second line"
            )
    if imessage_enabled is False and imessage_number_id not in (UNSET, None):
        raise ValueError("imessage_number_id attaches a line: do not pass imessage_enabled=False with it")
    shared_phone = modes.get("phone_filter_mode")
    if shared_phone is not None and imessage_filter_mode is not None and shared_phone != imessage_filter_mode:
        raise ValueError("phone_filter_mode and imessage_filter_mode are one setting: pass one of them")
    slack = modes.get("slack_filter_mode")
    if slack is not None:
        _check_mode("slack_filter_mode", slack)
    for channel in _CHANNELS:
        shared = modes.get(f"{channel}_filter_mode")
        if channel == "phone" and shared is None:
            shared = imessage_filter_mode
        for direction in ("inbound", "outbound"):
            name = f"{channel}_{direction}_filter_mode"
            mode = modes.get(name, UNSET)
            if mode is UNSET:
                continue
            if shared is not None:
                raise ValueError(f"pass {name} or the mode of both directions, not both")
            _check_mode(name, mode)


def _check_mode(name: str, mode: object) -> None:
    if not isinstance(mode, str) or not FilterMode(mode).is_known:
        raise ValueError(f"{name} must be 'whitelist' or 'blacklist', not {mode!r}")


class IdentitiesResource(generated.IdentitiesResource):
    """Agent identities. Each owns a mailbox and a tunnel, and a phone number when wanted."""

    create = checked(_check_create)(naming_handle_conflicts(generated.IdentitiesResource.create))
    update = checked(_check_update)(naming_handle_conflicts(generated.IdentitiesResource.update))
