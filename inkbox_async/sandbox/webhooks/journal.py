"""The journal of deliveries in the control API."""

from __future__ import annotations

from inkbox_async.generated.models.sandbox import WebhookAttempt
from inkbox_async.generated.queries.sandbox import ControlListWebhookAttemptsQuery
from inkbox_async.sandbox.controlling import ControlCall, controls

from .attempts import attempts


@controls("control.list_webhook_attempts")
async def list_webhook_attempts(call: ControlCall) -> list[WebhookAttempt]:
    """What was sent to receivers, newest first."""
    query: ControlListWebhookAttemptsQuery = call.query
    subscription_id = None if query.subscription_id is None else str(query.subscription_id)
    return await call.sandbox.store.run(lambda tx: attempts(tx, subscription_id, query.event_type))
