"""A local Inkbox to build and test agents on: real SMTP, WebSockets, webhooks and tunnels, no account."""

from __future__ import annotations

from .app import Sandbox

__all__ = ["Sandbox"]
