"""Webhooks on the receiver's side: is it genuine (`verify_webhook`), and what does it say (`parse_webhook`).

    if not verify_webhook(payload=raw_body, headers=request.headers, secret=signing_key):
        raise HTTPException(status_code=403)
    match parse_webhook(raw_body):
        case TextEvent(event_type="text.delivery_failed", data=data):
            logger.error("SMS failed: %s", data.text_message.error_detail)
        case MailEvent(data=data):
            ...

`WebhookReceiver` in `inkbox_async.webhooks.fastapi` does both for a FastAPI or Starlette route. The
documented types of the raw JSON (`MailWebhookPayload` and the like) are importable from here, too. Everything
is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .signature import sign_webhook, signed_headers, verify_webhook

if TYPE_CHECKING:
    from ..generated.typed_dicts import *  # noqa: F403
    from .events import A2AEvent as A2AEvent
    from .events import CallEndedEvent as CallEndedEvent
    from .events import IMessageEvent as IMessageEvent
    from .events import IncomingCallAnswer as IncomingCallAnswer
    from .events import IncomingCallEvent as IncomingCallEvent
    from .events import MailEvent as MailEvent
    from .events import SlackEvent as SlackEvent
    from .events import TextEvent as TextEvent
    from .events import UnknownEvent as UnknownEvent
    from .events import WebhookEvent as WebhookEvent
    from .events import parse_webhook as parse_webhook

EVENTS = (
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
)


def __getattr__(name: str) -> object:
    home = "inkbox_async.webhooks.events" if name in EVENTS else "inkbox_async.generated.typed_dicts"
    try:
        value: object = getattr(import_module(home), name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    from ..generated.typed_dicts import __all__ as typed_dicts

    return sorted({*globals(), *EVENTS, *typed_dicts})


__all__ = ["sign_webhook", "signed_headers", "verify_webhook"]
