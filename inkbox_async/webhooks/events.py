"""Payloads of webhooks as typed events: bytes in, one object of the union `WebhookEvent` out."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from ..generated.models.events import (
    A2AEvent,
    CallEndedEvent,
    IMessageEvent,
    IncomingCallAnswer,
    IncomingCallEvent,
    MailEvent,
    SlackEvent,
    TextEvent,
    UnknownEvent,
    WebhookEvent,
)
from ..secrecy import hiding

__all__ = [
    "A2AEvent",
    "CallEndedEvent",
    "IMessageEvent",
    "IncomingCallAnswer",
    "IncomingCallEvent",
    "MailEvent",
    "SlackEvent",
    "TextEvent",
    "UnknownEvent",
    "WebhookEvent",
    "parse_webhook",
]

SHOWN_PROBLEMS = 3

# Building it takes ten milliseconds: here, where programs start, and not in the first request of a handler.
_adapter: TypeAdapter[WebhookEvent] = TypeAdapter(WebhookEvent)


@hiding
def parse_webhook(body: bytes | bytearray | memoryview | str) -> WebhookEvent:
    """The event in the body of a webhook. Verify the body first: parsing does not.

        event = parse_webhook(raw_body)
        if isinstance(event, MailEvent) and event.event_type == "message.received":
            print(event.data.message.subject)

    Import it where the program starts: it brings the models of all events along, which takes tens of
    milliseconds.

    Properties and values that are newer than this package are kept (`event.model_extra`), an event of an
    unknown type is an `UnknownEvent`, and a body without `event_type` is an `IncomingCallEvent`.

    Args:
        body: The raw body, JSON in UTF-8.

    Returns:
        `MailEvent`, `TextEvent`, `IMessageEvent`, `CallEndedEvent`, `A2AEvent`, `SlackEvent`,
        `IncomingCallEvent` or `UnknownEvent`.

    Raises:
        ValueError: The body is not JSON, or not what its event type is documented to be. The message names
            the places, not what was in them.
    """
    try:
        return _adapter.validate_json(body if isinstance(body, str) else bytes(body))
    except ValidationError as error:
        problems = _problems(error)
    # Raised out here: the original error holds the body, and would be the context.
    raise ValueError(f"The body is not a webhook of Inkbox: {problems}")


def _problems(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    # The first part of a place is the name of the model, which the sender never heard of.
    shown = [f"{'.'.join(map(str, p['loc'][1:])) or 'body'}: {p['msg']}" for p in problems[:SHOWN_PROBLEMS]]
    if more := len(problems) - len(shown):
        shown.append(f"and {more} more")
    return "; ".join(shown)
