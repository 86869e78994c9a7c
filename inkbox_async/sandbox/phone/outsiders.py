"""People with phones: the texts they send and the calls they make."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from sqlite3 import Row
from typing import Any

from inkbox_async.generated.models.sandbox import (
    SandboxCallFrame,
    WorldCall,
    WorldCallResult,
    WorldText,
    WorldTextResult,
)
from inkbox_async.sandbox.controlling import ControlCall, controls
from inkbox_async.sandbox.e164 import check_number
from inkbox_async.sandbox.handling import ApiError, invalid, not_found
from inkbox_async.sandbox.outcomes import script_of
from inkbox_async.sandbox.parts import Parts
from inkbox_async.sandbox.phone import audio, media
from inkbox_async.sandbox.phone.arrivals import arrive
from inkbox_async.sandbox.phone.conversing import whole
from inkbox_async.sandbox.phone.delivery import receive
from inkbox_async.sandbox.phone.rows import live_number_by_value
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.store import Tx

_SCHEMES = ("http", "https", "data")


@controls("control.send_text")
async def send_text(call: ControlCall) -> WorldTextResult:
    """A text from a phone, to one number or to a group of which at least one is here."""
    body: WorldText = call.body
    sender = check_number(body.from_.strip(), "body", "from")
    recipients = [body.to] if isinstance(body.to, str) else list(dict.fromkeys(body.to))
    for index, recipient in enumerate(recipients):
        if check_number(recipient, "body", "to", index) == sender:
            raise invalid("A number cannot write to itself", "body", "to", index)
    if not body.text and not body.media_urls:
        raise invalid("Give a text, media_urls or both", "body", "text")
    media.check_urls(body.media_urls or [], _SCHEMES)
    sandbox = call.sandbox
    files = [await _file(sandbox, url, index) for index, url in enumerate(body.media_urls or [])]
    return await sandbox.store.run(
        lambda tx: _receive(tx, sandbox.clock.now(), sandbox.settings, sender, recipients, body.text, files)
    )


@controls("control.place_call")
async def place_call(call: ControlCall) -> WorldCallResult:
    """A call from a phone."""
    body: WorldCall = call.body
    caller = check_number(body.from_.strip(), "body", "from")
    if check_number(body.to.strip(), "body", "to") == caller:
        raise invalid("A number cannot call itself", "body", "to")
    sandbox = call.sandbox
    sound = None
    if body.audio_url is not None:
        try:
            file = await sandbox.phone.fetch(body.audio_url)
            sound = await asyncio.to_thread(audio.mu_law_of_wav, file.content or b"")
        except (media.Unreachable, ValueError) as error:
            raise invalid(str(error), "body", "audio_url") from None
    plan = {
        "script": script_of(body.script),
        "hangup_after": body.hangup_after,
        "leaves": True,
    }
    return await sandbox.store.run(
        lambda tx: WorldCallResult(
            call_id=arrive(tx, sandbox.clock.now(), _number(tx, body.to.strip()), caller, plan, sound)
        )
    )


@controls("control.list_call_frames")
async def list_call_frames(call: ControlCall) -> list[SandboxCallFrame]:
    """What the agent has sent in a call, oldest first."""

    def read(tx: Tx) -> list[Row]:
        if tx.one("SELECT 1 FROM calls WHERE id = ?", call.path["call_id"]) is None:
            raise not_found("Call")
        return tx.all("SELECT * FROM call_frames WHERE call_id = ? ORDER BY seq", call.path["call_id"])

    rows = await call.sandbox.store.run(read)
    return [SandboxCallFrame(frame=_frame(row["frame"]), created_at=row["created_at"]) for row in rows]


def _frame(text: str) -> Any:  # Any: a JSON object
    return json.loads(whole(json.dumps(json.loads(text), ensure_ascii=False)))


def _receive(
    tx: Tx,
    now: datetime,
    settings: Settings,
    sender: str,
    recipients: list[str],
    text: str | None,
    files: list[media.File],
) -> WorldTextResult:
    """Put a text into every number here that it is sent to; the result is about the first of them."""
    numbers = [number for one in recipients if (number := live_number_by_value(tx, one)) is not None]
    if not numbers:
        raise ApiError(404, "None of the recipients is a phone number of this sandbox.")
    rows = [
        receive(
            tx,
            now,
            settings,
            number,
            sender,
            text,
            others=[other for other in recipients if other != number["number"]],
            files=files,
        )
        for number in numbers
    ]
    return WorldTextResult(
        phone_number_id=numbers[0]["id"], text_id=rows[0]["id"], conversation_id=rows[0]["conversation_id"]
    )


def _number(tx: Tx, number: str) -> Row:
    row = live_number_by_value(tx, number)
    if row is None:
        raise not_found("Phone number")
    return row


async def _file(sandbox: Parts, url: str, index: int) -> media.File:
    try:
        return await sandbox.phone.fetch(url)
    except media.Unreachable as error:
        raise invalid(str(error), "body", "media_urls", index) from None
