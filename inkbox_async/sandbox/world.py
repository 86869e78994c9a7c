"""The world outside of the sandbox, from Python: people who write, carriers, domains."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from inkbox_async.generated.models.identities import Domain
from inkbox_async.generated.models.sandbox import (
    OutboxItem,
    SandboxCallFrame,
    SandboxOrganization,
    SandboxOrganizationSettings,
    WebhookAttempt,
    WorldCallResult,
    WorldEmailResult,
    WorldIMessageResult,
    WorldOutcome,
    WorldTextResult,
)

from . import areas
from .controlling import CONTROLS, ControlCall
from .handling import ApiError
from .parts import Parts
from .requests import checked, parse_path, resolve


class World:
    """What the control API does over HTTP, as coroutines of `sandbox.world`.

    They take what the requests of `openapi/sandbox.yaml` take, check it in the same way, and raise `ApiError`
    for what would be an error there.
    """

    def __init__(self, sandbox: Parts) -> None:
        self._sandbox = sandbox

    async def send_email(
        self,
        *,
        from_: str,
        to: Sequence[str],
        cc: Sequence[str] | None = None,
        subject: str = "",
        text: str | None = None,
        html: str | None = None,
        headers: Mapping[str, str] | None = None,
        attachments: Sequence[Mapping[str, str]] | None = None,
        in_reply_to: str | None = None,
    ) -> WorldEmailResult:
        """Have an outsider write a mail.

        Args:
            from_: Address of the sender, with or without a name.
            to: Addresses in the To field, of mailboxes here and of anybody else.
            cc: Addresses in the Cc field.
            subject: The subject.
            text: The plain-text body.
            html: The HTML body.
            headers: Further header fields.
            attachments: Files: mappings with `filename`, `content_type` and `content_base64`.
            in_reply_to: RFC 5322 Message-ID of the message that this one answers.

        Returns:
            Where it arrived: mailbox, message, thread and folder.
        """
        result: WorldEmailResult = await self.act(
            "control.send_email",
            {
                "from": from_,
                "to": list(to),
                "cc": None if cc is None else list(cc),
                "subject": subject,
                "text": text,
                "html": html,
                "headers": headers,
                "attachments": None if attachments is None else [dict(item) for item in attachments],
                "in_reply_to": in_reply_to,
            },
        )
        return result

    async def send_text(
        self,
        *,
        from_: str,
        to: str | Sequence[str],
        text: str | None = None,
        media_urls: Sequence[str] | None = None,
    ) -> WorldTextResult:
        """Have a phone send an SMS or MMS. `START` and `STOP` change the sender's consent.

        Args:
            from_: Number of the phone, in E.164 form.
            to: The agent's number; for a group MMS, the numbers of everybody it is sent to.
            text: The text.
            media_urls: Addresses of the pictures of an MMS: on this machine, or `data:` addresses. Of others
                a stand-in is kept.

        Returns:
            Where it arrived: the agent's number, the text and its conversation.
        """
        result: WorldTextResult = await self.act(
            "control.send_text",
            {
                "from": from_,
                "to": to if isinstance(to, str) else list(to),
                "text": text,
                "media_urls": None if media_urls is None else list(media_urls),
            },
        )
        return result

    async def place_call(
        self,
        *,
        from_: str,
        to: str,
        audio_url: str | None = None,
        script: Sequence[Mapping[str, str]] | None = None,
        hangup_after: float | None = None,
    ) -> WorldCallResult:
        """Have a phone call an agent. The call goes over the agent's WebSocket, in the background.

        Args:
            from_: Number of the caller, in E.164 form.
            to: The agent's number.
            audio_url: What the caller sounds like: a WAV file of 16-bit mono samples at 8 kHz, on this
                machine or as a `data:` address. It goes to agents that listen themselves, in frames of 20 ms
                at the pace of the sandbox's clock.
            script: What is said: mappings with `party` and `text`. At a line of the `local` party, the caller
                waits for the agent to say something.
            hangup_after: Seconds after which the caller hangs up, by the sandbox's clock. Left out, when
                everything is said and answered.

        Returns:
            The call's id.
        """
        result: WorldCallResult = await self.act(
            "control.place_call",
            {
                "from": from_,
                "to": to,
                "audio_url": audio_url,
                "script": None if script is None else [dict(line) for line in script],
                "hangup_after": hangup_after,
            },
        )
        return result

    async def call_frames(self, call_id: UUID | str) -> list[SandboxCallFrame]:
        """What the agent has sent over the WebSocket of a call, oldest first; complete once it has ended."""
        frames: list[SandboxCallFrame] = await self.act(
            "control.list_call_frames", path={"call_id": str(call_id)}
        )
        return frames

    async def send_imessage(
        self,
        *,
        from_: str,
        text: str | None = None,
        to: str | None = None,
        media_urls: Sequence[str] | None = None,
        reaction: str | None = None,
        message_id: UUID | str | None = None,
    ) -> WorldIMessageResult:
        """Have a person send an iMessage or a reaction.

        Args:
            from_: Number of the person, in E.164 form.
            text: The text. `connect @handle` connects the person with an agent.
            to: The triage line, or the handle of an agent (`@handle`). Left out, the triage line for
                `connect`, otherwise the agent that the person is connected with.
            media_urls: Addresses of files sent along.
            reaction: A reaction instead of a text: `love`, `like`, `dislike`, `laugh`, `emphasize`,
                `question`, or any emoji. Needs `message_id`.
            message_id: Id of the message that the reaction is to.

        Returns:
            What it has led to: message, reaction, conversation, connection, and what the triage line says.

        Raises:
            ApiError: 404 for an unknown line or message, 409 when the person is not connected, or with
                several agents and `to` does not say which; 422 for what cannot be sent.
        """
        result: WorldIMessageResult = await self.act(
            "control.send_imessage",
            {
                "from": from_,
                "text": text,
                "to": to,
                "media_urls": None if media_urls is None else list(media_urls),
                "reaction": reaction,
                "message_id": None if message_id is None else str(message_id),
            },
        )
        return result

    async def set_outcome(
        self,
        *,
        channel: str,
        to: str,
        outcome: str,
        error_code: str | None = None,
        error_detail: str | None = None,
        script: Sequence[Mapping[str, str]] | None = None,
        times: int | None = None,
    ) -> WorldOutcome:
        """Settle what awaits the next messages or calls to somebody outside.

        Args:
            channel: `mail`, `text`, `imessage` or `call`.
            to: The address or number it is sent to; `*` for everybody.
            outcome: How it ends, such as `bounced`, `delivery_failed`, `busy`.
            error_code: The carrier's code, for failures.
            error_detail: The carrier's words, for failures.
            script: What the person says in a call that is answered: mappings with `party` and `text`.
            times: How many messages or calls it is for; None is for all of them.
        """
        result: WorldOutcome = await self.act(
            "control.set_outcome",
            {
                "channel": channel,
                "to": to,
                "outcome": outcome,
                "error_code": error_code,
                "error_detail": error_detail,
                "script": None if script is None else [dict(line) for line in script],
                "times": times,
            },
        )
        return result

    async def outbox(self, channel: str | None = None) -> list[OutboxItem]:
        """What left for the outside, newest first; only `mail`, `text`, `imessage` or `call` where given."""
        items: list[OutboxItem] = await self.act("control.list_outbox", query={"channel": channel})
        return items

    async def webhook_attempts(
        self, *, subscription_id: str | UUID | None = None, event_type: str | None = None
    ) -> list[WebhookAttempt]:
        """What was sent to webhook receivers, and how it went, newest first.

        Args:
            subscription_id: Only what was sent to this subscription.
            event_type: Only events of this type; `phone.incoming_call` for questions about calls.
        """
        query = {"subscription_id": subscription_id, "event_type": event_type}
        attempts: list[WebhookAttempt] = await self.act("control.list_webhook_attempts", query=query)
        return attempts

    async def signup_code(self, email: str) -> str:
        """The code in the latest verification mail to a human.

        Raises:
            ApiError: 404 when none was sent there.
        """
        code: str = (await self.act("control.get_signup_code", query={"email": email})).code
        return code

    async def create_organization(self) -> SandboxOrganization:
        """A fresh, empty organization with an admin key."""
        organization: SandboxOrganization = await self.act("control.create_organization")
        return organization

    async def update_organization(
        self,
        organization_id: str | None = None,
        *,
        customer_campaign: bool | None = None,
        vault_access_inlined: bool | None = None,
        limits: Mapping[str, int | None] | None = None,
    ) -> SandboxOrganizationSettings:
        """Give an organization (by default the ready-made one) its own 10DLC campaign, or other plan limits.

        Args:
            organization_id: Id of the organization.
            customer_campaign: Whether it has a campaign of its own.
            vault_access_inlined: Whether secrets come with their access rules, as on today's servers; older
                ones told rules on request only.
            limits: Limits to change by name; None lifts a limit.
        """
        settings: SandboxOrganizationSettings = await self.act(
            "control.update_organization",
            {
                "customer_campaign": customer_campaign,
                "vault_access_inlined": vault_access_inlined,
                "limits": limits,
            },
            path={"organization_id": organization_id or self._sandbox.organization_id},
        )
        return settings

    async def add_domain(
        self, domain: str, status: str = "verified", *, organization_id: str | None = None
    ) -> Domain:
        """Give an organization (by default the ready-made one) a sending domain, in any state."""
        added: Domain = await self.act(
            "control.add_domain", {"domain": domain, "status": status, "organization_id": organization_id}
        )
        return added

    async def act(
        self,
        operation_id: str,
        body: Mapping[str, object] | None = None,
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Any:  # Any: a different answer for every operation
        """Do what an operation of the control API does. None values are left out, as if not given."""
        from .server import operation_by_id

        operation = operation_by_id(operation_id)
        if operation_id not in CONTROLS:
            await asyncio.to_thread(areas.load_for, operation_id)
        call = ControlCall(self._sandbox)
        call.path = parse_path(operation, path or {})
        if operation.query is not None:
            call.query = checked(resolve(operation.query), _given(query or {}), "query")
        if operation.body is not None and (body is not None or operation.body_required):
            call.body = checked(resolve(operation.body), _given(body or {}), "body")
        handler = CONTROLS.get(operation_id)
        if handler is None:
            raise ApiError(501, f"{operation_id} is not implemented in this sandbox.")
        return await self._sandbox.on_own_loop(handler, call)


def _given(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
