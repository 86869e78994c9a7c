"""Signing an agent up without an account: four calls that work before there is a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .error_mapping import handle_conflicts
from .generated import models
from .loading import load_in_thread
from .observe import ResponseObserver
from .secrecy import hiding
from .settings import DEFAULT_BASE_URL, DEFAULT_TIMEOUT, Settings
from .transport import Transport

if TYPE_CHECKING:
    from .generated.resources.identities import SignupResource


class Signup:
    """Class methods of the client for agents that sign themselves up.

    They use a connection of their own and take address and key from their arguments alone, not from the
    environment.
    """

    @classmethod
    @hiding
    async def signup(
        cls,
        human_email: str,
        *,
        note_to_human: str,
        display_name: str | None = None,
        agent_handle: str | None = None,
        email_local_part: str | None = None,
        harness: str | None = None,
        invitation_token: str | None = None,
        base_url: str = DEFAULT_BASE_URL,
        timeout: float | None = DEFAULT_TIMEOUT,
        response_observer: ResponseObserver | None = None,
    ) -> models.AgentSignupResponse:
        """Sign an agent up: make an identity with a mailbox, a tunnel and an API key.

        The human gets a mail with a code. Until the agent has given that code to `verify_signup`, it may
        write to the human only.

        Args:
            human_email: Address of the human who vouches for the agent.
            note_to_human: What the agent tells the human, 1 to 2,000 characters.
            display_name: Name shown to people. Left out, it is the handle.
            agent_handle: The wished handle. Left out, the server makes one up.
            email_local_part: Local part of the address; at the platform's domain it must equal the handle.
            harness: What the agent runs in, such as `claude-code`.
            invitation_token: Token of an invitation, beginning with `a2ai_`.
            base_url: Origin of the server.
            timeout: Seconds for each phase of the request.
            response_observer: Called with the metadata of the response.

        Returns:
            The new identity's address, handle and API key. The key is shown this once.

        Raises:
            HandleUnavailableError: the handle is taken.
            InkboxAPIError: 422, a value is unusable; 429, too many signups.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/agent-signup`.
        """
        async with _signup(None, base_url, timeout, response_observer) as resource:
            with handle_conflicts():
                return await resource.register(
                    human_email,
                    note_to_human=note_to_human,
                    display_name=display_name,
                    agent_handle=agent_handle,
                    email_local_part=email_local_part,
                    harness=harness,
                    invitation_token=invitation_token,
                )

    @classmethod
    @hiding
    async def verify_signup(
        cls,
        api_key: str,
        verification_code: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        timeout: float | None = DEFAULT_TIMEOUT,
        response_observer: ResponseObserver | None = None,
    ) -> models.AgentSignupVerifyResponse:
        """Have the agent claimed with the code that the human got.

        Args:
            api_key: The key from `signup`.
            verification_code: The six digits from the mail.
            base_url: Origin of the server.
            timeout: Seconds for each phase of the request.
            response_observer: Called with the metadata of the response.

        Returns:
            The new claim status, and the organization the agent belongs to now.

        Raises:
            InkboxAPIError: 401, the code is wrong; 410, it is older than 48 hours; 429, too many attempts.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/agent-signup/verify`.
        """
        async with _signup(api_key, base_url, timeout, response_observer) as resource:
            return await resource.verify(verification_code)

    @classmethod
    @hiding
    async def resend_signup_verification(
        cls,
        api_key: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        timeout: float | None = DEFAULT_TIMEOUT,
        response_observer: ResponseObserver | None = None,
    ) -> models.AgentSignupResendResponse:
        """Have a new code mailed to the human; the old one stops working.

        Args:
            api_key: The key from `signup`.
            base_url: Origin of the server.
            timeout: Seconds for each phase of the request.
            response_observer: Called with the metadata of the response.

        Returns:
            The present claim status.

        Raises:
            InkboxAPIError: 429, the last mail is less than five minutes old.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/agent-signup/resend-verification`.
        """
        async with _signup(api_key, base_url, timeout, response_observer) as resource:
            return await resource.resend()

    @classmethod
    @hiding
    async def get_signup_status(
        cls,
        api_key: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        timeout: float | None = DEFAULT_TIMEOUT,
        response_observer: ResponseObserver | None = None,
    ) -> models.AgentSignupStatusResponse:
        """Tell how far the signup has come and what the agent may do.

        Args:
            api_key: The key from `signup`.
            base_url: Origin of the server.
            timeout: Seconds for each phase of the request.
            response_observer: Called with the metadata of the response.

        Returns:
            Claim status, the human's state, and the present restrictions.

        Raises:
            InkboxAPIError: 401, the key is wrong.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `GET /api/v1/agent-signup/status`.
        """
        async with _signup(api_key, base_url, timeout, response_observer) as resource:
            return await resource.status()


@asynccontextmanager
async def _signup(
    api_key: str | None, base_url: str, timeout: float | None, observer: ResponseObserver | None
) -> AsyncIterator[SignupResource]:
    await load_in_thread()
    from .generated.resources.identities import SignupResource

    settings = Settings(api_key=api_key, base_url=base_url, timeout=timeout, response_observer=observer)
    transport = Transport(settings)
    try:
        yield SignupResource(transport)
    finally:
        await transport.aclose()
