"""Tests of the derived defaults of answers, on the generated models that use them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from inkbox_async.generated.models.common import FilterMode, SmsStatus
from inkbox_async.generated.models.identities import (
    AgentIdentityDetail,
    AgentIdentitySummary,
    CreateIdentityRequest,
    IdentityIMessageNumber,
    IdentityMailbox,
    IdentityMailboxCreateOptions,
    IdentityPhoneNumber,
    IdentityPhoneNumberCreateOptions,
    IdentityTunnelCreateOptions,
)
from inkbox_async.generated.models.mail import AttachmentLink, Mailbox

WHITE, BLACK = FilterMode.WHITELIST, FilterMode.BLACKLIST
TIMES = {"created_at": "2026-06-01T12:00:00Z", "updated_at": "2026-06-01T12:00:00Z"}
ID = "3f2b8c1e-5a64-4d7b-9c21-8e0f1a2b3c4d"


def mailbox(**fields: object) -> Mailbox:
    answer = {"id": ID, "email_address": "scout@mail.example.com", **TIMES, **fields}
    return Mailbox.model_validate_json(json.dumps(answer))


def identity(**fields: object) -> AgentIdentityDetail:
    answer = {"id": ID, "organization_id": "org_1", "agent_handle": "scout", **TIMES, **fields}
    return AgentIdentityDetail.model_validate_json(json.dumps(answer))


def number(**fields: object) -> IdentityPhoneNumber:
    answer = {
        "id": ID,
        "number": "+15550100200",
        "type": "local",
        "status": "active",
        "incoming_call_action": "auto_reject",
        **TIMES,
        **fields,
    }
    return IdentityPhoneNumber.model_validate_json(json.dumps(answer))


class TestModesOfAMailbox:
    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            ({}, (BLACK, BLACK, BLACK)),
            ({"filter_mode": None}, (BLACK, BLACK, BLACK)),
            ({"filter_mode": "whitelist"}, (WHITE, WHITE, WHITE)),
            (
                {"filter_mode": "whitelist", "inbound_filter_mode": None, "outbound_filter_mode": None},
                (WHITE, WHITE, WHITE),
            ),
            ({"filter_mode": "whitelist", "outbound_filter_mode": "blacklist"}, (WHITE, WHITE, BLACK)),
            (
                {
                    "filter_mode": "blacklist",
                    "inbound_filter_mode": "whitelist",
                    "outbound_filter_mode": "whitelist",
                },
                (WHITE, WHITE, WHITE),
            ),
            (
                {"inbound_filter_mode": "whitelist", "outbound_filter_mode": "blacklist"},
                (BLACK, WHITE, BLACK),
            ),
        ],
    )
    def test_each_direction_has_a_mode(
        self, sent: dict[str, object], expected: tuple[FilterMode, FilterMode, FilterMode]
    ) -> None:
        box = mailbox(**sent)
        assert (box.filter_mode, box.inbound_filter_mode, box.outbound_filter_mode) == expected

    def test_an_unknown_mode_spreads_as_it_is(self) -> None:
        box = mailbox(filter_mode="greylist")
        assert box.inbound_filter_mode == "greylist"
        assert box.outbound_filter_mode == "greylist"

    def test_a_mailbox_inside_an_identity_follows_the_same_rule(self) -> None:
        answer = {"id": ID, "email_address": "scout@inkboxmail.com", **TIMES, "filter_mode": "whitelist"}
        box = identity(mailbox=answer).mailbox
        assert isinstance(box, IdentityMailbox)
        assert box.inbound_filter_mode is WHITE
        assert box.sending_domain == "inkboxmail.com"


@pytest.mark.parametrize("sent", [{}, {"sending_domain": ""}, {"sending_domain": None}])
def test_the_sending_domain_is_that_of_the_address_when_the_server_names_none(
    sent: dict[str, object],
) -> None:
    assert mailbox(**sent).sending_domain == "mail.example.com"


def test_the_sending_domain_of_the_server_stands() -> None:
    assert mailbox(sending_domain="other.example").sending_domain == "other.example"


@pytest.mark.parametrize("sent", [{}, {"sms_status": None}, {"sms_status": ""}])
def test_a_number_without_sms_status_is_ready(sent: dict[str, object]) -> None:
    assert number(**sent).sms_status is SmsStatus.READY


@pytest.mark.parametrize("status", ["pending", "assignment_failed", "something_new"])
def test_the_sms_status_of_the_server_stands(status: str) -> None:
    assert number(sms_status=status).sms_status == status


class TestModesOfAnIdentity:
    def test_without_any_mode_everything_is_let_through(self) -> None:
        model = identity()
        modes = [getattr(model, name) for name in AgentIdentitySummary.model_fields if "filter_mode" in name]
        assert len(modes) == 10
        assert set(modes) == {BLACK}

    def test_the_one_mode_of_older_servers_is_that_of_the_phone(self) -> None:
        model = identity(imessage_filter_mode="whitelist")
        assert model.phone_filter_mode is WHITE
        assert model.phone_inbound_filter_mode is WHITE
        assert model.phone_outbound_filter_mode is WHITE
        assert model.imessage_filter_mode is WHITE
        assert model.mail_filter_mode is BLACK

    def test_a_mode_of_the_phone_stands_beside_that_of_imessage(self) -> None:
        model = identity(imessage_filter_mode="whitelist", phone_filter_mode="blacklist")
        assert model.phone_inbound_filter_mode is BLACK
        assert model.imessage_filter_mode is WHITE

    def test_directions_of_the_phone_that_agree_settle_imessage(self) -> None:
        model = identity(
            imessage_filter_mode="blacklist",
            phone_filter_mode="blacklist",
            phone_inbound_filter_mode="whitelist",
            phone_outbound_filter_mode="whitelist",
        )
        assert model.phone_filter_mode is WHITE
        assert model.imessage_filter_mode is WHITE

    def test_directions_of_the_phone_that_differ_leave_the_shared_mode_alone(self) -> None:
        model = identity(
            imessage_filter_mode="blacklist",
            phone_inbound_filter_mode="whitelist",
            phone_outbound_filter_mode="blacklist",
        )
        assert model.phone_filter_mode is BLACK
        assert model.imessage_filter_mode is BLACK

    @pytest.mark.parametrize("channel", ["mail", "phone", "slack"])
    def test_null_is_read_as_missing(self, channel: str) -> None:
        model = identity(
            **{
                "imessage_filter_mode": None,
                f"{channel}_filter_mode": "whitelist",
                f"{channel}_inbound_filter_mode": None,
                f"{channel}_outbound_filter_mode": None,
            }
        )
        assert getattr(model, f"{channel}_inbound_filter_mode") is WHITE
        assert getattr(model, f"{channel}_outbound_filter_mode") is WHITE
        assert model.imessage_filter_mode is BLACK


def test_the_fields_that_the_server_sent_can_still_be_told() -> None:
    assert "inbound_filter_mode" not in mailbox(filter_mode="whitelist").model_fields_set
    assert not {"mailbox", "tunnel", "phone_filter_mode"} & identity().model_fields_set
    assert "mailbox" in identity(mailbox=None).model_fields_set


def test_deriving_twice_changes_nothing() -> None:
    once = identity(
        imessage_filter_mode="whitelist",
        mail_inbound_filter_mode="whitelist",
        slack_outbound_filter_mode=None,
        mailbox={"id": ID, "email_address": "a@b.example", **TIMES, "filter_mode": "whitelist"},
        phone_number=json.loads(number(sms_status="").model_dump_json()),
    )
    twice = AgentIdentityDetail.model_validate_json(once.model_dump_json(exclude_unset=True))
    assert twice == once


def test_a_dedicated_line_is_personal() -> None:
    line = IdentityIMessageNumber.model_validate({"id": ID, "number": "+15550100300", "type": "x"})
    assert line.line_role == "personal"


class TestItemAccess:
    link = AttachmentLink.model_validate({"url": "https://files.example.com/x", "etag": "1"})

    def test_fields_are_items(self) -> None:
        assert self.link["url"] == self.link.url
        assert self.link["filename"] is None

    def test_fields_unknown_to_this_version_are_items(self) -> None:
        assert self.link["etag"] == "1"
        assert "etag" in self.link

    def test_a_missing_item_is_a_key_error(self) -> None:
        with pytest.raises(KeyError, match="model_fields"):
            self.link["model_fields"]

    def test_get_has_a_default(self) -> None:
        assert self.link.get("nothing", 7) == 7
        assert self.link.get("url") == "https://files.example.com/x"

    def test_it_turns_into_a_dictionary(self) -> None:
        assert dict(self.link) == {
            "url": "https://files.example.com/x",
            "filename": None,
            "expires_in": None,
            "etag": "1",
        }


class TestCreateOptions:
    def test_none_leaves_a_field_out(self) -> None:
        assert IdentityTunnelCreateOptions(tls_mode=None).to_wire() == {}
        assert IdentityMailboxCreateOptions(email_local_part=None).to_wire() == {}

    def test_a_sending_domain_of_none_asks_for_the_platforms(self) -> None:
        assert IdentityMailboxCreateOptions(sending_domain=None).to_wire() == {"sending_domain": None}

    def test_type_and_call_action_of_a_number_always_travel(self) -> None:
        expected = {"type": "local", "incoming_call_action": "auto_reject"}
        assert IdentityPhoneNumberCreateOptions().to_wire() == expected
        assert IdentityPhoneNumberCreateOptions(state="NY").to_wire() == {**expected, "state": "NY"}

    def test_the_same_holds_inside_a_request(self) -> None:
        request = CreateIdentityRequest(
            agent_handle="scout",
            tunnel=IdentityTunnelCreateOptions(tls_mode=None),
            phone_number=IdentityPhoneNumberCreateOptions(),
        )
        assert request.to_wire() == {
            "agent_handle": "scout",
            "tunnel": {},
            "phone_number": {"type": "local", "incoming_call_action": "auto_reject"},
        }

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"incoming_call_action": "auto_accept"}, "client_websocket_url is needed"),
            ({"incoming_call_action": "webhook"}, "incoming_call_webhook_url is needed"),
            ({"incoming_call_action": "forward"}, "forwarding_target_type is needed"),
            ({"forwarding_phone_number": "+15550100400"}, "forwarding_phone_number has no meaning"),
            ({"forwarding_sip_uri": "sip:a@example.com"}, "forwarding_sip_uri has no meaning"),
            ({"forwarding_target_type": "phone"}, "forwarding_phone_number is needed"),
            ({"forwarding_target_type": "sip"}, "forwarding_sip_uri is needed"),
            (
                {
                    "forwarding_target_type": "phone",
                    "forwarding_phone_number": "+15550100400",
                    "forwarding_sip_uri": "sip:a@example.com",
                },
                "forwarding_sip_uri has no meaning",
            ),
            ({"forwarding_target_type": "pigeon"}, "must be 'phone' or 'sip', not 'pigeon'"),
        ],
    )
    def test_a_call_action_without_what_it_needs_is_refused(
        self, options: dict[str, str], problem: str
    ) -> None:
        with pytest.raises(ValidationError, match=problem):
            IdentityPhoneNumberCreateOptions.model_validate(options)

    @pytest.mark.parametrize(
        "options",
        [
            {"incoming_call_action": "auto_accept", "client_websocket_url": "wss://example.com/ws"},
            {"incoming_call_action": "webhook", "incoming_call_webhook_url": "https://example.com/call"},
            {"incoming_call_action": "hosted_agent"},
            {
                "incoming_call_action": "forward",
                "forwarding_target_type": "sip",
                "forwarding_sip_uri": "sip:a@example.com",
            },
        ],
    )
    def test_a_complete_call_action_travels_as_given(self, options: dict[str, Any]) -> None:
        sent = IdentityPhoneNumberCreateOptions.model_validate(options).to_wire()
        assert sent == {"type": "local", **options}
