"""Constants: the version of this package, and how far an API key reaches, as whoami tells it."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
"""Of this package; the build takes it from here."""

AUTH_SUBTYPE_API_KEY_ADMIN_SCOPED: Final = "api_key.admin_scoped"
"""The key reaches the whole organization."""

AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_CLAIMED: Final = "api_key.agent_scoped.claimed"
"""The key reaches one identity, for which a human vouches."""

AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_UNCLAIMED: Final = "api_key.agent_scoped.unclaimed"
"""The key reaches one identity that signed itself up and was not claimed yet."""
