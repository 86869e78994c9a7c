"""A local Inkbox to build and test agents on: real SMTP, WebSockets, webhooks and tunnels, no account."""

from __future__ import annotations

try:
    from .app import Sandbox
    from .edge.limits import EdgeLimits
except ModuleNotFoundError as error:
    if error.name is not None and error.name.startswith("inkbox_async"):
        raise
    raise ImportError(
        f"the sandbox needs {error.name}, which comes with its extra: pip install 'inkbox-async[sandbox]'"
    ) from error

__all__ = ["EdgeLimits", "Sandbox"]
