"""What is to become of a call: the question to the receiver that the phone number names."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from inkbox_async.sandbox.clock import Clock
from inkbox_async.sandbox.store import Store

from .attempts import Subject, record
from .posting import TIMEOUT, Outcome, Poster

if TYPE_CHECKING:
    from inkbox_async.generated.models.events import IncomingCallAnswer

EVENT_TYPE = "phone.incoming_call"


async def ask(
    poster: Poster,
    store: Store,
    clock: Clock,
    *,
    url: str,
    payload: Mapping[str, Any],  # Any: JSON values of every type
    secret: str | None,
    organization_id: str,
    phone_number_id: str | None,
    timeout: float = TIMEOUT,
) -> IncomingCallAnswer | None:
    """Ask a receiver about a call, once, and note it in the journal of deliveries.

    Args:
        poster: Sends it.
        store: Keeps the journal.
        clock: Dates it.
        url: The receiver, `incoming_call_webhook_url`.
        payload: The call, as an `IncomingCallEvent`; its `id` is the call's.
        secret: What to sign with (`signing_secret`), or None.
        organization_id: Whose call it is.
        phone_number_id: The number that is called.
        timeout: Seconds (real ones) until the answer must be there.

    Returns:
        The answer; None when the receiver does not route the call: it answered late, not at all, with another
        status than 200, or with something that is neither `answer` nor `reject`.
    """
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    outcome = await poster.post(url, body.encode(), secret, timeout=timeout)
    answer = await asyncio.to_thread(_answer, outcome)  # the first one imports the models of events
    subject = Subject(
        organization_id=organization_id,
        event_id=str(payload["id"]),
        event_type=EVENT_TYPE,
        url=url,
        phone_number_id=phone_number_id,
        payload=body,
    )
    verdict = "given_up" if answer is None else "delivered"
    await store.run(lambda tx: record(tx, clock.now(), subject, outcome, verdict=verdict))
    return answer


def _answer(outcome: Outcome) -> IncomingCallAnswer | None:
    if outcome.status != 200 or outcome.body is None:
        return None
    from inkbox_async.generated.models.events import IncomingCallAnswer

    try:
        answer = IncomingCallAnswer.model_validate_json(outcome.body)
    except ValidationError:
        return None
    return answer if answer.action in ("answer", "reject") else None
