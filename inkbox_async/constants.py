"""Constants of the documents that are no enum: how far an API key reaches, as whoami tells it."""

from __future__ import annotations

from typing import Final

AUTH_SUBTYPE_API_KEY_ADMIN_SCOPED: Final = "api_key.admin_scoped"
"""The key reaches the whole organization."""

AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_CLAIMED: Final = "api_key.agent_scoped.claimed"
"""The key reaches one identity, for which a human vouches."""

AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_UNCLAIMED: Final = "api_key.agent_scoped.unclaimed"
"""The key reaches one identity that signed itself up and was not claimed yet."""
