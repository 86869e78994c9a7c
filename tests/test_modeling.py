"""Open models: newer and older servers are read without loss, and UNSET is not None."""

from __future__ import annotations

import copy
import pickle
from uuid import uuid4

import pytest
from pydantic import TypeAdapter

from inkbox_async import (
    FilterMode,
    Message,
    MessageDirection,
    MessageStatus,
    SigningKey,
    WebhookSubscriptionList,
    WhoamiApiKeyResponse,
    WhoamiJwtResponse,
)
from inkbox_async.generated.models.identities import WhoamiResponse
from inkbox_async.modeling import OpenEnum, RequestModel
from inkbox_async.unset import UNSET, Unset


class Colour(OpenEnum):
    RED = "red"
    GREEN = "green"


class Paint(RequestModel):
    colour: Colour
    gloss: str | None = None


def wire_message(**changes: object) -> dict[str, object]:
    return {
        "id": str(uuid4()),
        "mailbox_id": str(uuid4()),
        "message_id": "<a@example.com>",
        "from_address": "ada@example.com",
        "to_addresses": ["scout@inkboxmail.com"],
        "direction": "inbound",
        "status": "received",
        "is_read": False,
        "is_starred": False,
        "has_attachments": False,
        "created_at": "2026-05-02T10:20:00Z",
        **changes,
    }


def test_a_known_value_is_the_member_and_the_string() -> None:
    assert Colour("red") is Colour.RED
    assert Colour.RED == "red"
    by_name: dict[str, int] = {Colour.RED: 1}
    assert by_name["red"] == 1
    assert f"{Colour.RED}" == "red"
    assert Colour.RED.is_known


def test_an_unknown_value_stays_usable_as_a_string() -> None:
    blue = Colour("blue")
    assert blue == "blue"
    assert blue == Colour("blue")
    assert blue.value == "blue"
    assert str(blue) == "blue"
    assert not blue.is_known
    by_name: dict[str, int] = {blue: 1}
    assert by_name["blue"] == 1
    assert blue != Colour.RED
    assert list(Colour) == [Colour.RED, Colour.GREEN], "strangers do not join the enum"
    assert pickle.loads(pickle.dumps(blue)) == blue
    assert copy.deepcopy(blue) == blue


def test_what_is_no_string_is_no_enum_value() -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        Colour(7)  # type: ignore[arg-type]


def test_models_keep_unknown_enum_values_and_unknown_fields() -> None:
    paint = Paint.model_validate_json('{"colour": "blue", "smell": "strong"}')
    assert paint.colour == "blue"
    assert paint.model_extra == {"smell": "strong"}
    assert Paint.model_validate_json(paint.model_dump_json()) == paint


def test_only_given_fields_travel() -> None:
    assert Paint(colour=Colour.RED).to_wire() == {"colour": "red"}
    assert Paint(colour=Colour.RED, gloss=None).to_wire() == {"colour": "red", "gloss": None}


def test_a_message_of_an_older_server_gets_the_documented_defaults() -> None:
    message = Message.model_validate(wire_message())
    assert message.thread_id is None
    assert message.cc_addresses is None
    assert message.open_count == 0
    assert message.first_opened_at is None


def test_null_reads_as_the_default_where_servers_send_null() -> None:
    assert Message.model_validate(wire_message(open_count=None)).open_count == 0


def test_a_message_of_a_newer_server_is_read_whole() -> None:
    message = Message.model_validate(wire_message(status="teleported", direction="sideways", aura="violet"))
    assert message.status == "teleported"
    assert isinstance(message.status, MessageStatus)
    assert message.direction == "sideways"
    assert isinstance(message.direction, MessageDirection)
    assert message.model_extra == {"aura": "violet"}


def test_limits_do_not_bind_answers() -> None:
    assert len(Message.model_validate(wire_message(subject="x" * 5000)).subject or "") == 5000


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"auth_type": "api_key", "key_id": "ApiKey_1"}', WhoamiApiKeyResponse),
        ('{"auth_type": "jwt", "email": "a@b.example"}', WhoamiJwtResponse),
        ('{"auth_type": "hologram", "email": "a@b.example"}', WhoamiJwtResponse),
    ],
)
def test_a_union_is_told_apart_by_its_field(body: str, kind: type[object]) -> None:
    assert type(TypeAdapter(WhoamiResponse).validate_json(body)) is kind


def test_unset_is_one_falsy_value_that_survives_copies() -> None:
    assert not UNSET
    assert repr(UNSET) == "UNSET"
    assert Unset() is UNSET
    assert copy.deepcopy(UNSET) is UNSET
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET


def test_enum_members_are_named_after_their_values_in_capitals() -> None:
    assert [member.name for member in FilterMode] == ["WHITELIST", "BLACKLIST"]


def test_a_repr_shows_no_secret() -> None:
    key = SigningKey.model_validate({"signing_key": "whsec_x", "created_at": "2026-06-01T12:00:00Z"})
    assert key.signing_key == "whsec_x"
    assert "whsec_x" not in repr(key) + str(key)
    later = WebhookSubscriptionList.model_validate({"subscriptions": [], "auth_token": "from a newer server"})
    assert "newer" not in repr(later)
