"""What an agent reads at run time: the unlocked secrets, typed, without any request."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import TypeVar
from uuid import UUID

from .decrypted import DecryptedVaultSecret, UnreadableSecret, totp_code
from .exceptions import SecretNotFoundError, SecretTypeError
from .payloads import (
    APIKeyPayload,
    KeyPairPayload,
    LoginPayload,
    SecretPayload,
    SSHKeyPayload,
)
from .sealed import canonical_id
from .totp import TOTPCode

P = TypeVar("P", bound=SecretPayload)


class Credentials:
    """Typed access to unlocked secrets.

    It holds what the last unlock brought, and what this client created, changed or deleted since. Which
    secrets those are is decided by the API key: an agent key sees only what its identity was granted, an
    admin key sees all.

    Args:
        secrets: The secrets, in the order in which they are listed.
        unreadable: Secrets that could not be opened. They are not listed; reading one says why.

    Example:
        ```python
        for secret in identity.credentials.list_logins():
            print(secret.name, identity.credentials.get_login(secret.id).username)
        ```
    """

    def __init__(
        self, secrets: Iterable[DecryptedVaultSecret], unreadable: Iterable[UnreadableSecret] = ()
    ) -> None:
        self._secrets = {str(secret.id): secret for secret in secrets}
        self._unreadable = {str(report.id): report for report in unreadable}

    def __len__(self) -> int:
        return len(self._secrets)

    def __repr__(self) -> str:
        return f"Credentials({len(self)} secrets)"

    def list(self) -> builtins.list[DecryptedVaultSecret]:
        """Every secret."""
        return [*self._secrets.values()]

    def list_logins(self) -> builtins.list[DecryptedVaultSecret]:
        """The secrets that are logins."""
        return self._of_type(LoginPayload)

    def list_api_keys(self) -> builtins.list[DecryptedVaultSecret]:
        """The secrets that are API keys."""
        return self._of_type(APIKeyPayload)

    def list_key_pairs(self) -> builtins.list[DecryptedVaultSecret]:
        """The secrets that are key pairs."""
        return self._of_type(KeyPairPayload)

    def list_ssh_keys(self) -> builtins.list[DecryptedVaultSecret]:
        """The secrets that are SSH keys."""
        return self._of_type(SSHKeyPayload)

    def get(self, secret_id: UUID | str) -> DecryptedVaultSecret:
        """One secret of any type.

        Args:
            secret_id: Id of the secret, in either case.

        Raises:
            SecretNotFoundError: No such secret is unlocked (a KeyError).
            SecretUnreadableError: It was skipped at the unlock because it does not open.
        """
        key = canonical_id(secret_id)
        secret = self._secrets.get(key)
        if secret is not None:
            return secret
        report = self._unreadable.get(key)
        raise SecretNotFoundError(key) if report is None else report.error()

    def get_login(self, secret_id: UUID | str) -> LoginPayload:
        """The payload of a login.

        Args:
            secret_id: Id of the secret, in either case.

        Raises:
            SecretNotFoundError: No such secret is unlocked (a KeyError).
            SecretTypeError: It is not a login (a TypeError).
            SecretUnreadableError: It was skipped at the unlock because it does not open.
        """
        return self._payload(secret_id, LoginPayload)

    def get_api_key(self, secret_id: UUID | str) -> APIKeyPayload:
        """The payload of an API key.

        Args:
            secret_id: Id of the secret, in either case.

        Raises:
            SecretNotFoundError: No such secret is unlocked (a KeyError).
            SecretTypeError: It is not an API key (a TypeError).
            SecretUnreadableError: It was skipped at the unlock because it does not open.
        """
        return self._payload(secret_id, APIKeyPayload)

    def get_key_pair(self, secret_id: UUID | str) -> KeyPairPayload:
        """The payload of a key pair.

        Args:
            secret_id: Id of the secret, in either case.

        Raises:
            SecretNotFoundError: No such secret is unlocked (a KeyError).
            SecretTypeError: It is not a key pair (a TypeError).
            SecretUnreadableError: It was skipped at the unlock because it does not open.
        """
        return self._payload(secret_id, KeyPairPayload)

    def get_ssh_key(self, secret_id: UUID | str) -> SSHKeyPayload:
        """The payload of an SSH key.

        Args:
            secret_id: Id of the secret, in either case.

        Raises:
            SecretNotFoundError: No such secret is unlocked (a KeyError).
            SecretTypeError: It is not an SSH key (a TypeError).
            SecretUnreadableError: It was skipped at the unlock because it does not open.
        """
        return self._payload(secret_id, SSHKeyPayload)

    def get_totp_code(self, secret_id: UUID | str) -> TOTPCode:
        """The current one-time code of a login, computed here.

        Args:
            secret_id: Id of the secret, in either case.

        Raises:
            SecretNotFoundError: No such secret is unlocked (a KeyError).
            SecretTypeError: It is not a login (a TypeError).
            TOTPNotConfiguredError: The login has no TOTP (a ValueError).
            SecretUnreadableError: It was skipped at the unlock because it does not open.
        """
        return totp_code(self.get(secret_id))

    def _of_type(self, payload_type: type[SecretPayload]) -> builtins.list[DecryptedVaultSecret]:
        return [secret for secret in self._secrets.values() if secret.secret_type == payload_type.secret_type]

    def _payload(self, secret_id: UUID | str, payload_type: type[P]) -> P:
        secret = self.get(secret_id)
        if not isinstance(secret.payload, payload_type):
            raise SecretTypeError(
                f"secret {secret.id} is of type {secret.secret_type!r}, not "
                f"{payload_type.secret_type.value!r}; get() returns secrets of any type"
            )
        return secret.payload
