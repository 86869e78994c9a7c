"""Filter modes of an identity: one for each channel and direction, set together or apart, by admins only."""

from __future__ import annotations

from inkbox_async.generated.models.identities import UpdateIdentityRequest

from .handling import Call, invalid

CHANNELS = ("mail", "phone", "slack")
_FIELDS = (
    "imessage_filter_mode",
    *(f"{channel}{side}_filter_mode" for channel in CHANNELS for side in ("", "_inbound", "_outbound")),
)


def change_filter_modes(call: Call, identity_id: str, body: UpdateIdentityRequest) -> None:
    """Set the filter modes that an update of an identity names; phone and iMessage share theirs.

    Raises:
        ApiError: 403 for agents; 422 when a shared mode comes with one for a direction, or when phone and
            iMessage are told different modes.
    """
    given = {name: str(value) for name in _FIELDS if (value := getattr(body, name)) is not None}
    if not given:
        return
    call.refuse_agents("Changing a filter mode")
    _merge_imessage(given)
    for channel in CHANNELS:
        shared = given.get(f"{channel}_filter_mode")
        sides = {
            f"filter_mode_{side}": mode
            for side in ("inbound", "outbound")
            if (mode := given.get(f"{channel}_{side}_filter_mode")) is not None
        }
        if shared is not None:
            if sides:
                raise invalid(
                    "Set the mode of both directions, or modes of single directions, not both",
                    "body",
                    f"{channel}_filter_mode",
                )
            sides = {"filter_mode_inbound": shared, "filter_mode_outbound": shared}
        if sides:
            _store(call, identity_id, channel, sides)


def _merge_imessage(given: dict[str, str]) -> None:
    """`imessage_filter_mode` is another name of the phone's shared mode."""
    imessage = given.pop("imessage_filter_mode", None)
    if imessage is None:
        return
    if given.setdefault("phone_filter_mode", imessage) != imessage:
        raise invalid("Phone and iMessage have one mode: the two differ", "body", "imessage_filter_mode")


def _store(call: Call, identity_id: str, channel: str, sides: dict[str, str]) -> None:
    if channel == "mail":
        mailbox_id = call.tx.value(
            "SELECT id FROM mailboxes WHERE identity_id = ? AND status <> 'deleted'", identity_id
        )
        call.tx.update("mailboxes", mailbox_id, updated_at=call.now, **sides)
    else:
        call.tx.update(
            "identities", identity_id, **{f"{channel}_{name}": mode for name, mode in sides.items()}
        )
