"""Payloads as typed events: every family, what is newer than this package, and whatever a stranger sends."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import inkbox_async.webhooks as webhooks
from inkbox_async.generated import typed_dicts
from inkbox_async.generated.models import events
from inkbox_async.webhooks import MailEvent, TextEvent, UnknownEvent, parse_webhook

from .payloads import FAMILIES, MAIL_RECEIVED, TEXT_RECEIVED, UNKNOWN

JSON = Any  # Any: JSON values of every type
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_model(family: str) -> None:
    """The example of each family becomes its own class and survives the way back to JSON."""
    body = FAMILIES[family]
    event = parse_webhook(json.dumps(body).encode())
    assert type(event).__name__ == family
    again = parse_webhook(json.dumps(event.to_wire()))
    assert again == event


def test_values_are_python_values() -> None:
    """Ids are UUIDs, times aware, enumerated values compare with strings."""
    event = parse_webhook(json.dumps(MAIL_RECEIVED))
    assert isinstance(event, MailEvent)
    assert event.id == "evt_4a6f0b1c-8d2e-4f73-9b5a-c7e1d3f0a926"
    assert event.event_type == "message.received"
    assert event.timestamp == datetime(2026, 6, 1, 12, 0, 0, 201_000, UTC)
    message = event.data.message
    assert message.id == UUID("0d3f7a28-5b6c-4e19-8f40-9c2a1e7b6d53")
    assert message.status == "received"
    assert event.data.contacts[0].bucket == "from"
    assert event.data.contacts[0].memories == []
    assert event.companion is None


def test_seed_time_payloads() -> None:
    """Older servers send neither id nor memories nor body."""
    body = deepcopy(MAIL_RECEIVED)
    del body["id"]
    event = parse_webhook(json.dumps(body))
    assert isinstance(event, MailEvent)
    assert event.id is None
    assert event.data.message.body is None


def test_what_is_newer_is_kept() -> None:
    """Unknown properties, at every depth, and unknown values of enumerations."""
    body = deepcopy(MAIL_RECEIVED)
    body["priority"] = "high"
    body["data"]["message"]["labels"] = ["a", "b"]
    body["data"]["message"]["status"] = "quarantined"
    body["data"]["contacts"][0]["bucket"] = "reply_to"
    event = parse_webhook(json.dumps(body))
    assert isinstance(event, MailEvent)
    assert event.model_extra == {"priority": "high"}
    assert event.data.message.model_extra == {"labels": ["a", "b"]}
    assert event.data.message.status == "quarantined"
    assert event.data.contacts[0].bucket == "reply_to"
    assert event.to_wire()["data"]["message"]["status"] == "quarantined"


def test_unknown_events_are_kept() -> None:
    """A new type of event arrives whole."""
    event = parse_webhook(json.dumps(UNKNOWN | {"more": 1}))
    assert isinstance(event, UnknownEvent)
    assert event.event_type == "fax.received"
    assert event.data == {"pages": 2}
    assert event.model_extra == {"more": 1}
    assert event.to_wire() == UNKNOWN | {"more": 1}


def test_a_new_event_of_a_known_channel_is_unknown() -> None:
    """Its payload may have any shape; the name alone says nothing."""
    event = parse_webhook(b'{"event_type": "message.opened", "data": {"message_id": 7}}')
    assert isinstance(event, UnknownEvent)


def test_a_transcript_has_turns_and_marks() -> None:
    """The two shapes are told apart by `marker`."""
    event = parse_webhook(json.dumps(FAMILIES["CallEndedEvent"]))
    assert isinstance(event, webhooks.CallEndedEvent)
    assert event.data.transcript is not None
    turn, mark = event.data.transcript.entries
    assert (turn.party, turn.text) == ("remote", "Hello")
    assert "marker" not in turn.model_fields_set
    assert (mark.marker, mark.omitted_turns) == ("abridged", 3)
    assert event.data.call.on_voicemail == "hang_up"


def test_context_items_have_their_own_models() -> None:
    """Earlier traffic carries no discriminator: what it holds tells what it is."""
    body = deepcopy(TEXT_RECEIVED)
    mail: dict[str, JSON] = {
        "id": "m",
        "direction": "inbound",
        "from_address": "a@example.com",
        "to_addresses": [],
        "subject": None,
        "snippet": None,
        "created_at": "2026-06-01T12:00:00Z",
    }
    text = {
        "id": "t",
        "channel": "sms",
        "direction": "inbound",
        "text": "hi",
        "text_truncated": False,
        "sender": None,
        "status": None,
        "media": {"count": 1},
        "created_at": "2026-06-01T12:00:00Z",
    }
    call = {
        "call_id": "c",
        "abridged": False,
        "transcript": [],
        "direction": None,
        "remote_number": None,
        "duration": None,
        "started_at": None,
    }
    body["data"]["context"] = {
        "texts": {"scope": "contact", "items": [mail, text, call], "truncated": False, "mode": "window"}
    }
    event = parse_webhook(json.dumps(body))
    assert isinstance(event, TextEvent)
    assert event.data.context is not None
    assert event.data.context.texts is not None
    kinds = [type(item).__name__ for item in event.data.context.texts.items]
    assert kinds == ["EventContextMail", "EventContextText", "EventContextCall"]


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b"", "Invalid JSON"),
        (b"not json", "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[" * 100_000, "recursion"),
        (b"[]", "object"),
        (b"{}", "id: Field required"),
        (b'{"event_type": "text.received", "timestamp": "2026-06-01T12:00:00Z"}', "data: Field required"),
        (b'{"event_type": "text.received", "timestamp": "soon", "data": 1}', "timestamp"),
    ],
)
def test_faulty_bodies_say_where(body: bytes, hint: str) -> None:
    """The message names the place."""
    with pytest.raises(ValueError, match=hint):
        parse_webhook(body)


def test_faulty_bodies_are_not_quoted() -> None:
    """What people wrote has no business in a log."""
    body = deepcopy(MAIL_RECEIVED)
    body["data"]["message"]["created_at"] = "a private matter"
    with pytest.raises(ValueError, match=r"data\.message\.created_at") as caught:
        parse_webhook(json.dumps(body))
    assert "private" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(json_values)
def test_any_json_is_an_event_or_a_value_error(value: JSON) -> None:
    """Nothing but the documented exception ever comes out."""
    try:
        event = parse_webhook(json.dumps(value))
    except ValueError:
        return
    assert isinstance(event, get_event_classes())


@given(st.sampled_from(sorted(FAMILIES)), st.data())
def test_any_damage_to_a_payload(family: str, data: st.DataObject) -> None:
    """One value anywhere in a real payload is replaced by anything: an event or a ValueError, and no loss."""
    body = deepcopy(FAMILIES[family])
    place: JSON = body
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], (dict, list)) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        place[key] = data.draw(json_values)
        break
    try:
        event = parse_webhook(json.dumps(body))
    except ValueError:
        return
    assert set(event.to_wire()) == set(body)


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    """Bodies that are not even JSON."""
    try:
        parse_webhook(body)
    except ValueError:
        return


def get_event_classes() -> tuple[type, ...]:
    """The members of the union."""
    union, *_ = get_args(events.WebhookEvent)
    return tuple(get_args(member)[0] for member in get_args(union))


def test_the_catalogue_is_covered() -> None:
    """Each documented event type leads to the class whose enum lists it."""
    for enum, expected in (
        (events.MailEventType, "MailEvent"),
        (events.TextEventType, "TextEvent"),
        (events.IMessageEventType, "IMessageEvent"),
        (events.CallEventType, "CallEndedEvent"),
        (events.A2AEventType, "A2AEvent"),
        (events.SlackEventType, "SlackEvent"),
    ):
        for value in enum:
            body = FAMILIES[expected] | {"event_type": value.value}
            assert type(parse_webhook(json.dumps(body))).__name__ == expected


def test_documented_names_agree_with_the_official_package() -> None:
    """Every typed dictionary and literal of the published package exists here with at least the same keys."""
    inkbox = pytest.importorskip("inkbox")
    names = [
        name
        for name in typed_dicts.__all__
        if hasattr(inkbox, name)  # the others are newer than the published package
    ]
    assert len(names) >= 41
    for name in names:
        ours, theirs = getattr(webhooks, name), getattr(inkbox, name)
        if keys := getattr(theirs, "__required_keys__", None):
            assert keys <= ours.__required_keys__, name
            get_type_hints(ours)
        else:
            assert set(get_args(theirs)) <= set(get_args(ours)), name


def test_importing_is_cheap() -> None:
    """Verifying a signature needs no models."""
    code = (
        "import sys, inkbox_async.webhooks as w; w.verify_webhook(payload=b'', headers={}, secret='s');"
        "print([m for m in ('pydantic', 'aiohttp', 'starlette') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_first_event_finds_everything_loaded() -> None:
    """What the parser needs was imported and built with it: no handler stands still over its first event."""
    code = (
        "import sys; from inkbox_async import parse_webhook; before = set(sys.modules);"
        "parse_webhook(sys.argv[1]); print(sorted(set(sys.modules) - before))"
    )
    body = json.dumps(MAIL_RECEIVED)
    done = subprocess.run([sys.executable, "-c", code, body], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_names_are_attribute_errors() -> None:
    """The lazy module behaves like a module."""
    with pytest.raises(AttributeError, match="MailWebhookPaylod"):
        _ = webhooks.MailWebhookPaylod
    assert {"MailWebhookPayload", "parse_webhook", "verify_webhook"} <= set(dir(webhooks))
