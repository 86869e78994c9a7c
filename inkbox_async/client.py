"""AsyncInkbox: settings, one transport, and every resource, for as long as it is entered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Self, TypeVar
from uuid import UUID

import aiohttp

import inkbox_async

from .generated import models
from .loading import load, load_in_thread
from .observe import APIResponse, RequestObserver, ResponseObserver
from .resources import Resources
from .secrecy import hiding
from .settings import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT, Settings
from .signup import Signup
from .transport import Transport, collect_notices
from .unset import UNSET, Unset

if TYPE_CHECKING:
    from .vault.resource import VaultResource

T = TypeVar("T")


class AsyncInkbox(Signup, Resources):
    """The client. Use it as an async context manager, or call `aclose()`.

    The first client of a process loads the rest of the package: at once when it is made outside an event
    loop, in a thread when it is entered. One that is made inside a loop and never entered does so in the
    first of its methods that is awaited; a resource that is asked for before holds the loop up for some
    fifty milliseconds.

    Args:
        api_key: The API key. Left out, `INKBOX_API_KEY`, then `api_key` in `~/.inkbox/config`.
        base_url: Origin of the server. Left out, `INKBOX_BASE_URL`, then the file, then `https://inkbox.ai`.
        timeout: Seconds for each phase of a request (to get a connection, to send or to receive the next
            piece); None waits for ever.
        vault_key: Unlocks the vault when the client is entered. Left out, `INKBOX_VAULT_KEY`, then the file.
        max_retries: How many times a request is repeated where that is safe.
        session: An aiohttp session to share; it is left open, and decides about proxies and cookies.
        user_agent_prefix: Put in front of the `User-Agent` header.
        response_observer: Called with the metadata of every response; see `ResponseMetadata`.
        request_observer: Called with the metadata of every attempt before it is sent; see `RequestMetadata`.

    Raises:
        ValueError: There is no API key, or a setting is unusable; nothing was sent.

    Example:
        ```python
        import asyncio
        from inkbox_async import AsyncInkbox

        async def main() -> None:
            async with AsyncInkbox() as inkbox:
                identity = await inkbox.create_identity("sales-agent")
                print(identity.email_address)

        asyncio.run(main())
        ```
    """

    @hiding
    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        vault_key: str | None = None,
        max_retries: int = DEFAULT_MAX_RETRIES,
        session: aiohttp.ClientSession | None = None,
        user_agent_prefix: str | None = None,
        response_observer: ResponseObserver | None = None,
        request_observer: RequestObserver | None = None,
    ) -> None:
        self._settings = Settings.resolve(
            api_key,
            base_url=base_url,
            vault_key=vault_key,
            timeout=timeout,
            max_retries=max_retries,
            user_agent_prefix=user_agent_prefix,
            response_observer=response_observer,
            request_observer=request_observer,
        )
        super().__init__(Transport(self._settings, session=session))
        if asyncio._get_running_loop() is None:
            load()

    def __repr__(self) -> str:
        return f"<AsyncInkbox {self._settings.base_url}>"

    @property
    def base_url(self) -> str:
        """Origin of the server, and path prefix if any, without a trailing slash."""
        return self._settings.base_url

    async def __aenter__(self) -> Self:
        try:
            await load_in_thread()
            if self._settings.vault_key is not None:
                await self.vault.unlock(self._settings.vault_key)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, unless they belong to a shared session; twice is harmless."""
        await self._transport.aclose()

    async def close(self) -> None:
        """The same as `aclose()`, under the documents' name."""
        await self.aclose()

    @hiding
    async def create_identity(
        self,
        agent_handle: str,
        *,
        display_name: str | None = None,
        description: str | Unset | None = UNSET,
        imessage_enabled: bool | None = None,
        contact_sharing_enabled: bool | None = None,
        claim_imessage_number: bool | None = None,
        email_local_part: str | None = None,
        sending_domain: str | Unset | None = UNSET,
        tunnel: models.IdentityTunnelCreateOptions | Mapping[str, object] | None = None,
        phone_number: models.IdentityPhoneNumberCreateOptions | Mapping[str, object] | None = None,
        vault_secret_ids: UUID | str | Sequence[UUID | str] | None = None,
    ) -> inkbox_async.AgentIdentity:
        """Create an identity with its mailbox and its tunnel, in one step.

        Args:
            agent_handle: The unique name: 3 to 63 lower-case letters, digits and single hyphens.
            display_name: Name shown to people. Left out, it is the handle.
            description: The organization's own note about the agent; None is an explicit nothing.
            imessage_enabled: Whether people may connect to the agent over iMessage.
            contact_sharing_enabled: Whether a dedicated iMessage line shares the agent's name and picture.
            claim_imessage_number: True claims a dedicated iMessage line in the same step; it needs
                `imessage_enabled=True`.
            email_local_part: Local part of the address; free at a custom domain only.
            sending_domain: Bare name of a verified domain; None forces the platform's domain; left out, the
                organization's default.
            tunnel: Options of the tunnel, such as `{"tls_mode": "passthrough"}`.
            phone_number: Options of a phone number to provision along with it.
            vault_secret_ids: Vault secrets the identity may use: ids, or `"*"` for all.

        Returns:
            The identity.

        Raises:
            ValueError: Arguments exclude each other; nothing was sent.
            HandleUnavailableError: the handle is taken or reserved.
            InkboxAPIError: 402, the plan allows no more; 403, not an admin key; 422, a value is unusable.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/identities/`.
        """
        await load_in_thread()
        from .identity import AgentIdentity

        mailbox: dict[str, object] = {}
        if email_local_part is not None:
            mailbox["email_local_part"] = email_local_part
        if not isinstance(sending_domain, Unset):
            mailbox["sending_domain"] = sending_domain
        data = await self.identities.create(
            agent_handle=agent_handle,
            display_name=display_name,
            description=description,
            imessage_enabled=imessage_enabled,
            contact_sharing_enabled=contact_sharing_enabled,
            claim_imessage_number=claim_imessage_number,
            mailbox=mailbox or None,
            tunnel=tunnel,
            phone_number=phone_number,
            vault_secret_ids=vault_secret_ids,
        )
        return AgentIdentity(data, self)

    async def get_identity(self, agent_handle: str) -> inkbox_async.AgentIdentity:
        """Get one identity by its handle.

        Args:
            agent_handle: The handle, with or without a leading `@`.

        Returns:
            The identity.

        Raises:
            InkboxAPIError: 404, there is none, or the API key may not see it.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `GET /api/v1/identities/{agent_handle}`.
        """
        await load_in_thread()
        from .identity import AgentIdentity

        return AgentIdentity(await self.identities.get(agent_handle), self)

    async def list_identities(self) -> list[models.AgentIdentitySummary]:
        """List the identities that the API key may see, newest first.

        Returns:
            The identities as plain data; `get_identity` gives one as an object.

        Raises:
            InkboxAPIError: 401, the API key is wrong.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `GET /api/v1/identities/`.
        """
        await load_in_thread()
        return await self.identities.list()

    async def whoami(self) -> models.WhoamiResponse:
        """Tell whom the API key belongs to.

        Returns:
            `WhoamiApiKeyResponse` or `WhoamiJwtResponse`; compare `auth_subtype` with the constants
            `AUTH_SUBTYPE_API_KEY_…`.

        Raises:
            InkboxAPIError: 401, the API key is wrong.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `GET /api/whoami`.
        """
        await load_in_thread()
        return await self._whoami.get()

    async def create_signing_key(self) -> models.SigningKey:
        """Create the organization's signing key for webhooks, or replace it.

        Today's servers keep a key for each identity and refuse admin keys here with 409; use
        `identity.create_signing_key()` there.

        Returns:
            The new key. The secret is shown this once.

        Raises:
            InkboxAPIError: 403 or 409, the API key may not do this.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/signing-keys`.
        """
        await load_in_thread()
        return await self.signing_keys.create_or_rotate()

    async def with_response_metadata(self, callback: Callable[[AsyncInkbox], Awaitable[T]]) -> APIResponse[T]:
        """Run a coroutine function and collect the notices that the server sent meanwhile.

        Args:
            callback: Gets a client that shares everything with this one, and must use that. Pages have to
                be read to the end inside it.

        Returns:
            What the callback returned, as `data`, and the distinct `notices`, or None.
        """

        async def work(transport: Transport) -> T:
            return await callback(_Scope(self, transport))

        return await collect_notices(self._transport, work)


class _Scope(AsyncInkbox):
    """A client that shares everything with another, but sends over a transport of its own."""

    def __init__(self, whole: AsyncInkbox, transport: Transport) -> None:
        self._whole = whole
        self._settings = whole._settings
        Resources.__init__(self, transport)

    @cached_property
    def vault(self) -> VaultResource:
        """The vault of the whole client: unlocking either unlocks both."""
        return self._whole.vault.on(self._transport)


Inkbox = AsyncInkbox
"""The documents' name of the client, so that their imports work as they stand."""
