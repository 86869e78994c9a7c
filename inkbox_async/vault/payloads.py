"""What a secret holds, one class a type: the plaintext that only clients ever see.

The reprs show which fields are set and never a value. Fields that a newer client added survive: they are
kept when a payload is read and written back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import Any, ClassVar, Self

from ..generated.models.vault import VaultSecretType
from ..secrecy import hiding, hiding_fields
from .exceptions import VaultDecryptionError
from .totp import TOTPConfig

_NONE: Mapping[str, object] = MappingProxyType({})


@hiding_fields
@dataclass(repr=False)
class SecretPayload:
    """Base of the payload classes.

    Attributes:
        notes: Free text for people.

    Raises:
        TypeError: A value is not of the field's type. The message does not hold the value.
    """

    secret_type: ClassVar[VaultSecretType]

    notes: str | None = field(default=None, kw_only=True)

    _newer_fields = _NONE

    def __post_init__(self) -> None:
        self._check_types()

    def __repr__(self) -> str:
        shown = (f"{name}=***" for name in _fields(type(self)) if getattr(self, name) is not None)
        return f"{type(self).__name__}({', '.join(shown)})"

    @hiding
    def to_wire(self) -> dict[str, object]:
        """The JSON object to seal: fields that are None are left out, empty strings are kept.

        Raises:
            TypeError: A value that was assigned since is not of the field's type.
        """
        self._check_types()
        wire: dict[str, object] = {}
        for name in _fields(type(self)):
            value = getattr(self, name)
            if value is not None:
                wire[name] = value.to_wire() if isinstance(value, TOTPConfig) else value
        return {**self._newer_fields, **wire}

    @classmethod
    @hiding
    def from_wire(cls, wire: dict[str, object]) -> Self:
        """Read an opened JSON object.

        Raises:
            VaultDecryptionError: A required field is missing, or a value is not of its field's type.
        """
        known: dict[str, Any] = {}  # Any: checked by the constructor
        newer: dict[str, object] = {}
        names = _fields(cls)
        for name, value in wire.items():
            if name not in names:
                newer[name] = value
            elif value is not None:
                known[name] = value
        problem = ""
        try:
            payload = cls(**cls._read(known))
        except (TypeError, ValueError) as error:
            problem = str(error)
        if problem:
            raise VaultDecryptionError(f"the {cls.secret_type.value} payload is malformed: {problem}")
        if newer:
            payload._newer_fields = newer
        return payload

    @classmethod
    def _read(cls, known: dict[str, Any]) -> dict[str, Any]:  # Any: checked by the constructor
        return known

    def _check_types(self) -> None:
        for name, required in _fields(type(self)).items():
            value = getattr(self, name)
            if not isinstance(value, str) and (value is not None or required):
                self._refuse(name, value)

    def _refuse(self, name: str, value: object) -> None:
        """Raise for a value that is no text; subclasses let through what else a field may hold."""
        raise TypeError(f"{type(self).__name__}.{name} must be text, not {type(value).__name__}")


_layouts: dict[type, Mapping[str, bool]] = {}


def _fields(payload_type: type[SecretPayload]) -> Mapping[str, bool]:
    """The names of a class's fields in the order of the wire, and whether each is required."""
    layout = _layouts.get(payload_type)
    if layout is None:
        layout = {spec.name: spec.default is MISSING for spec in fields(payload_type)}
        _layouts[payload_type] = layout
    return layout


@hiding_fields
@dataclass(repr=False)
class LoginPayload(SecretPayload):
    """A login (`secret_type` `login`).

    Attributes:
        password: The password.
        username: User name.
        email: Email address of the account.
        url: Where to log in.
        totp: Second factor, see `inkbox_async.vault.totp`.
        notes: Free text for people.
    """

    secret_type: ClassVar[VaultSecretType] = VaultSecretType.LOGIN

    password: str
    username: str | None = None
    email: str | None = None
    url: str | None = None
    totp: TOTPConfig | None = None

    def _check_types(self) -> None:
        super()._check_types()
        if isinstance(self.totp, str):
            raise TypeError("LoginPayload.totp must be a TOTPConfig: parse the URI with parse_totp_uri")

    def _refuse(self, name: str, value: object) -> None:
        if name != "totp":
            super()._refuse(name, value)
        elif not isinstance(value, TOTPConfig):
            raise TypeError(f"LoginPayload.totp must be a TOTPConfig, not {type(value).__name__}")

    @classmethod
    def _read(cls, known: dict[str, Any]) -> dict[str, Any]:  # Any: checked by the constructor
        totp = known.get("totp")
        return {**known, "totp": TOTPConfig.from_wire(totp)} if isinstance(totp, dict) else known


@hiding_fields
@dataclass(repr=False)
class APIKeyPayload(SecretPayload):
    """An API key (`secret_type` `api_key`).

    Attributes:
        api_key: The key.
        endpoint: URL of the API it is for.
        notes: Free text for people.
    """

    secret_type: ClassVar[VaultSecretType] = VaultSecretType.API_KEY

    api_key: str
    endpoint: str | None = None


@hiding_fields
@dataclass(repr=False)
class KeyPairPayload(SecretPayload):
    """An access key with its secret, as object stores use (`secret_type` `key_pair`).

    Attributes:
        access_key: Public half, or id of the key.
        secret_key: Secret half.
        endpoint: URL of the service it is for.
        notes: Free text for people.
    """

    secret_type: ClassVar[VaultSecretType] = VaultSecretType.KEY_PAIR

    access_key: str
    secret_key: str
    endpoint: str | None = None


@hiding_fields
@dataclass(repr=False)
class SSHKeyPayload(SecretPayload):
    """An SSH key (`secret_type` `ssh_key`).

    Attributes:
        private_key: Private key in PEM or OpenSSH format.
        public_key: Public key.
        fingerprint: Fingerprint of the public key.
        passphrase: Passphrase of the private key.
        notes: Free text for people.
    """

    secret_type: ClassVar[VaultSecretType] = VaultSecretType.SSH_KEY

    private_key: str
    public_key: str | None = None
    fingerprint: str | None = None
    passphrase: str | None = None


@hiding_fields
@dataclass(repr=False)
class OtherPayload(SecretPayload):
    """Any other text (`secret_type` `other`).

    Attributes:
        data: The text, of any form.
        notes: Free text for people.
    """

    secret_type: ClassVar[VaultSecretType] = VaultSecretType.OTHER

    data: str


@hiding_fields
@dataclass(repr=False)
class UnknownPayload:
    """The payload of a secret type that this version does not know, as plain data.

    Attributes:
        secret_type: The type, as the server names it.
        data: The decrypted JSON object.
    """

    secret_type: str
    data: dict[str, object]

    def __repr__(self) -> str:
        return f"UnknownPayload(secret_type={self.secret_type!r}, data=***)"


PAYLOAD_TYPES: dict[str, type[SecretPayload]] = {
    payload_type.secret_type: payload_type
    for payload_type in (LoginPayload, APIKeyPayload, KeyPairPayload, SSHKeyPayload, OtherPayload)
}
"""The payload class of each documented secret type."""


def parse_payload(secret_type: str, wire: dict[str, object]) -> SecretPayload | UnknownPayload:
    """Read an opened payload as the class of its type; of an unknown type, as plain data.

    Raises:
        VaultDecryptionError: The object does not fit its type.
    """
    payload_type = PAYLOAD_TYPES.get(secret_type)
    return payload_type.from_wire(wire) if payload_type else UnknownPayload(secret_type, wire)
