"""The asyncio-native SDK for Inkbox, the communication infrastructure of AI agents.

Everything public is importable from here and loaded on first use; see `AsyncInkbox` to begin with.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import AsyncInkbox as AsyncInkbox
    from .client import Inkbox as Inkbox
    from .constants import (
        AUTH_SUBTYPE_API_KEY_ADMIN_SCOPED as AUTH_SUBTYPE_API_KEY_ADMIN_SCOPED,
    )
    from .constants import (
        AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_CLAIMED as AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_CLAIMED,
    )
    from .constants import (
        AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_UNCLAIMED as AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_UNCLAIMED,
    )
    from .errors import *  # noqa: F403
    from .generated.models import *  # noqa: F403
    from .generated.typed_dicts import *  # noqa: F403
    from .handles import normalize_agent_handle as normalize_agent_handle
    from .handles import validate_agent_handle as validate_agent_handle
    from .handles import validate_tunnel_name as validate_tunnel_name
    from .identity import AgentIdentity as AgentIdentity
    from .observe import APIResponse as APIResponse
    from .observe import RequestMetadata as RequestMetadata
    from .observe import RequestObserver as RequestObserver
    from .observe import ResponseMetadata as ResponseMetadata
    from .observe import ResponseNotice as ResponseNotice
    from .observe import ResponseObserver as ResponseObserver
    from .paging import AsyncPages as AsyncPages
    from .paging import Page as Page
    from .resources.webhook_subscriptions import WebhookSubscriptionsResource as WebhookSubscriptionsResource
    from .tunnels import ForwardTargetRefused as ForwardTargetRefused
    from .tunnels import TunnelAppError as TunnelAppError
    from .tunnels import TunnelAuthenticationError as TunnelAuthenticationError
    from .tunnels import TunnelListener as TunnelListener
    from .tunnels import TunnelRuntimeStatus as TunnelRuntimeStatus
    from .tunnels import TunnelStateError as TunnelStateError
    from .unset import UNSET as UNSET
    from .vault import APIKeyPayload as APIKeyPayload
    from .vault import Credentials as Credentials
    from .vault import DecryptedVaultSecret as DecryptedVaultSecret
    from .vault import KeyPairPayload as KeyPairPayload
    from .vault import LoginPayload as LoginPayload
    from .vault import OtherPayload as OtherPayload
    from .vault import SSHKeyPayload as SSHKeyPayload
    from .vault import TOTPAlgorithm as TOTPAlgorithm
    from .vault import TOTPCode as TOTPCode
    from .vault import TOTPConfig as TOTPConfig
    from .vault import UnlockedVault as UnlockedVault
    from .vault import VaultInitializeResult as VaultInitializeResult
    from .vault import VaultKeyMaterial as VaultKeyMaterial
    from .vault import generate_org_encryption_key as generate_org_encryption_key
    from .vault import generate_recovery_code as generate_recovery_code
    from .vault import generate_totp as generate_totp
    from .vault import generate_vault_key_material as generate_vault_key_material
    from .vault import parse_totp_uri as parse_totp_uri
    from .webhooks.events import parse_webhook as parse_webhook
    from .webhooks.signature import verify_webhook as verify_webhook

_HOMES = {
    "client": ("AsyncInkbox", "Inkbox"),
    "constants": (
        "AUTH_SUBTYPE_API_KEY_ADMIN_SCOPED",
        "AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_CLAIMED",
        "AUTH_SUBTYPE_API_KEY_AGENT_SCOPED_UNCLAIMED",
    ),
    "errors": (
        "BlockingNamespace",
        "DedicatedIMessageNumberInventoryPendingError",
        "DedicatedIMessageNumberQuotaExceededError",
        "DuplicateContactRuleError",
        "HandleUnavailableError",
        "IdempotencyKeyReusedError",
        "InkboxAPIError",
        "InkboxConnectionError",
        "InkboxError",
        "InkboxResponseError",
        "InkboxTimeoutError",
        "InkboxVaultKeyError",
        "MailImportQuotaExceededError",
        "MailImportUploadError",
        "RecipientBlockedError",
        "RedundantContactAccessGrantError",
        "StorageLimitExceededError",
        "TunnelCSRStateConflict",
        "TunnelError",
        "TunnelNameInvalid",
        "TunnelNotProvisioned",
        "TunnelRemoved",
        "TunnelStateConflict",
        "TunnelSupersededError",
        "TunnelTLSModeMismatch",
        "get_message_request_key",
    ),
    "handles": ("normalize_agent_handle", "validate_agent_handle", "validate_tunnel_name"),
    "identity": ("AgentIdentity",),
    "observe": (
        "APIResponse",
        "RequestMetadata",
        "RequestObserver",
        "ResponseMetadata",
        "ResponseNotice",
        "ResponseObserver",
    ),
    "paging": ("AsyncPages", "Page"),
    "resources.webhook_subscriptions": ("WebhookSubscriptionsResource",),
    "tunnels": (
        "ForwardTargetRefused",
        "TunnelAppError",
        "TunnelAuthenticationError",
        "TunnelListener",
        "TunnelRuntimeStatus",
        "TunnelStateError",
    ),
    "unset": ("UNSET",),
    "vault": (
        "APIKeyPayload",
        "Credentials",
        "DecryptedVaultSecret",
        "KeyPairPayload",
        "LoginPayload",
        "OtherPayload",
        "SSHKeyPayload",
        "TOTPAlgorithm",
        "TOTPCode",
        "TOTPConfig",
        "UnlockedVault",
        "VaultInitializeResult",
        "VaultKeyMaterial",
        "generate_org_encryption_key",
        "generate_recovery_code",
        "generate_totp",
        "generate_vault_key_material",
        "parse_totp_uri",
    ),
    "webhooks.events": ("parse_webhook",),
    "webhooks.signature": ("verify_webhook",),
}
_GENERATED = ("generated.models", "generated.typed_dicts")
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "__all__":  # what `from inkbox_async import *` asks for
        return _public_names()
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for module in (_MODULE_OF[name],) if name in _MODULE_OF else _GENERATED:
        try:
            value: object = getattr(import_module(f".{module}", __name__), name)
        except AttributeError:
            continue
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_public_names()})


def _public_names() -> list[str]:
    from .generated.models import __all__ as models
    from .generated.typed_dicts import __all__ as typed_dicts

    return sorted({*_MODULE_OF, *models, *typed_dicts})
