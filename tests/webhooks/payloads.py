"""Payloads for tests: one of each family, taken from the examples of the specification."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

_SCHEMAS = yaml.safe_load((Path(__file__).parents[2] / "openapi" / "events.yaml").read_text("utf-8"))[
    "components"
]["schemas"]


def example(schema: str) -> dict[str, Any]:  # Any: JSON values
    """A fresh copy of a schema's example."""
    found: dict[str, Any] = deepcopy(_SCHEMAS[schema]["example"])
    return found


FAMILIES = {
    name: example(name)
    for name in (
        "MailEvent",
        "TextEvent",
        "IMessageEvent",
        "IncomingCallEvent",
        "CallEndedEvent",
        "A2AEvent",
        "SlackEvent",
    )
}
MAIL_RECEIVED = FAMILIES["MailEvent"]
TEXT_RECEIVED = FAMILIES["TextEvent"]
INCOMING_CALL = FAMILIES["IncomingCallEvent"]
UNKNOWN = {
    "id": "evt_1",
    "event_type": "fax.received",
    "timestamp": "2026-06-01T12:00:00Z",
    "data": {"pages": 2},
}
