"""The operations on phone numbers: list, get, order, settings, release, and what was said in their calls."""

from __future__ import annotations

from sqlite3 import Row
from typing import Any

from pydantic import ValidationError

from inkbox_async.generated.models.common import FilterModeChangeNotice
from inkbox_async.generated.models.identities import IdentityPhoneNumberCreateOptions
from inkbox_async.generated.models.phone import (
    PhoneNumber,
    PhoneTranscript,
    ProvisionPhoneNumberRequest,
    UpdatePhoneNumberRequest,
)
from inkbox_async.generated.queries.phone import PhoneNumbersSearchTranscriptsQuery
from inkbox_async.sandbox.channels import (
    check_call_addresses,
    create_phone_number,
    release_phone_number,
    settle_sms,
)
from inkbox_async.sandbox.handles import normalise_handle
from inkbox_async.sandbox.handling import Call, handles, invalid, not_found
from inkbox_async.sandbox.phone.rows import (
    identity_of,
    number_of,
    number_row,
    search_words,
    show_number,
    show_transcript,
    visible_rows,
)
from inkbox_async.sandbox.rules import redundant_action

_ROUTING = (
    "incoming_call_action",
    "client_websocket_url",
    "incoming_call_webhook_url",
    "forwarding_target_type",
    "forwarding_phone_number",
    "forwarding_sip_uri",
)
_TARGETS = ("forwarding_phone_number", "forwarding_sip_uri")


@handles("phone_numbers.list")
def list_numbers(call: Call) -> list[PhoneNumber]:
    """The organization's numbers, newest first; an agent's own."""
    settle_sms(call.tx, call.now, call.caller.organization_id)
    rows = call.tx.all(
        "SELECT * FROM phone_numbers WHERE organization_id = ? AND status <> 'released' "
        "ORDER BY created_at DESC, id",
        call.caller.organization_id,
    )
    return [_show(call, row) for row in rows if call.caller.may_touch(row["identity_id"])]


@handles("phone_numbers.get")
def get_number(call: Call) -> PhoneNumber:
    """One number."""
    return _show(call, number_of(call))


@handles("phone_numbers.provision")
def provision(call: Call) -> PhoneNumber:
    """A new number for an identity."""
    body: ProvisionPhoneNumberRequest = call.body
    identity = call.tx.one(
        "SELECT * FROM identities WHERE agent_handle = ? AND organization_id = ? AND status <> 'deleted'",
        normalise_handle(body.agent_handle),
        call.caller.organization_id,
    )
    if identity is None:
        raise not_found("Identity")
    given = {"type": body.type, "state": body.state}
    given |= {name: getattr(body, name) for name in _ROUTING[:3] if getattr(body, name) is not None}
    number_id = create_phone_number(
        call.tx,
        call.now,
        call.settings,
        organization_id=call.caller.organization_id,
        identity_id=identity["id"],
        options=_options(given),
        location=("body",),
    )
    if body.filter_mode is not None:
        _set_mode(call, identity["id"], str(body.filter_mode))
    row = number_row(call, number_id)
    assert row is not None
    return _show(call, row)


@handles("phone_numbers.update")
def update(call: Call) -> PhoneNumber:
    """Change what happens to calls, or the filter mode."""
    body: UpdatePhoneNumberRequest = call.body
    number = number_of(call)
    notice = None
    if "filter_mode" in body.model_fields_set:
        call.refuse_agents("Changing a filter mode")
        if body.filter_mode is None:
            raise invalid("Input should be 'whitelist' or 'blacklist'", "body", "filter_mode")
        notice = _change_mode(call, number, str(body.filter_mode))
    changes = _routing(call, number, body)
    if notice is not None or any(number[name] != value for name, value in changes.items()):
        call.tx.update("phone_numbers", number["id"], updated_at=call.now, **changes)
    return _show(call, number_of(call), notice)


@handles("phone_numbers.release")
def release(call: Call) -> None:
    """Give a number back."""
    release_phone_number(call.tx, call.now, number_of(call)["identity_id"])


@handles("phone_numbers.search_transcripts")
def search_transcripts(call: Call) -> list[PhoneTranscript]:
    """What was said with every word of the query, or its beginning; the best match first."""
    query: PhoneNumbersSearchTranscriptsQuery = call.query
    number = number_of(call)
    if query.party not in (None, "local", "remote"):
        raise invalid("Input should be 'local' or 'remote'", "query", "party", kind="enum")
    words = search_words(query.q)
    if not words:
        return []
    condition, values = visible_rows(call, "c")
    rows = call.tx.all(
        "SELECT t.* FROM call_search JOIN call_transcripts AS t ON t.rank = call_search.rowid "
        "JOIN calls AS c ON c.id = t.call_id WHERE call_search MATCH ? AND c.phone_number_id = ? "
        f"AND (? IS NULL OR t.party = ?) AND {condition} ORDER BY bm25(call_search), t.rank DESC LIMIT ?",
        words,
        number["id"],
        query.party,
        query.party,
        *values,
        query.limit,
    )
    return [show_transcript(row) for row in rows]


def _show(call: Call, row: Row, notice: FilterModeChangeNotice | None = None) -> PhoneNumber:
    return show_number(row, identity_of(call.tx, row), notice)


def _routing(
    call: Call, number: Row, body: UpdatePhoneNumberRequest
) -> dict[str, Any]:  # Any: values of columns
    """What happens to calls after the change, if it is possible."""
    changes = {name: getattr(body, name) for name in _ROUTING if name in body.model_fields_set}
    if "incoming_call_action" in changes:
        changes["incoming_call_action"] = changes["incoming_call_action"] or "auto_reject"
    if "forwarding_target_type" in changes:
        # A target of another kind does not outlive the change.
        changes = dict.fromkeys(_TARGETS) | changes
    result = {name: number[name] for name in _ROUTING} | changes
    options = _options({name: value for name, value in result.items() if value is not None})
    check_call_addresses(options, call.settings, ("body",))
    return changes


def _options(given: dict[str, Any]) -> IdentityPhoneNumberCreateOptions:  # Any: values of columns
    try:
        return IdentityPhoneNumberCreateOptions(**given)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise invalid(message, "body", "incoming_call_action") from None


def _change_mode(call: Call, number: Row, mode: str) -> FilterModeChangeNotice | None:
    """Set the filter mode of both directions; tells which rules that has made superfluous, if any changed."""
    identity = identity_of(call.tx, number)
    if {identity["phone_filter_mode_inbound"], identity["phone_filter_mode_outbound"]} == {mode}:
        return None
    _set_mode(call, identity["id"], mode)
    action = redundant_action(mode)
    count = call.tx.value(
        "SELECT count(*) FROM phone_contact_rules "
        "WHERE phone_number_id = ? AND action = ? AND status = 'active'",
        number["id"],
        action,
    )
    return FilterModeChangeNotice(
        new_filter_mode=mode, redundant_rule_action=action, redundant_rule_count=count
    )


def _set_mode(call: Call, identity_id: str, mode: str) -> None:
    call.tx.update("identities", identity_id, phone_filter_mode_inbound=mode, phone_filter_mode_outbound=mode)
