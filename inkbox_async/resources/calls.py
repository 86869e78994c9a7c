"""Calls beyond the specification: one method where servers of different ages have two routes."""

from __future__ import annotations

import builtins
from typing import overload
from uuid import UUID

from ..generated.models.phone import PhoneCall
from ..generated.resources import phone as generated


class CallsResource(generated.CallsResource):
    """Calls of phone numbers, placed and received, and what was said in them."""

    async def list(
        self,
        phone_number_id: UUID | str | None = None,
        *,
        agent_identity_id: UUID | str | None = None,
        limit: int = 50,
        offset: int = 0,
        is_blocked: bool | None = None,
        start_datetime: str | None = None,
        end_datetime: str | None = None,
        tz: str | None = None,
    ) -> builtins.list[PhoneCall]:
        """List calls, newest first: of a phone number, or of an identity over all lines it has or had.

        Args:
            phone_number_id: Id of the phone number. Today's servers prefer identities.
            agent_identity_id: Id of the identity, not together with `phone_number_id`. With neither, an agent
                key lists its own identity's calls. Not known to older servers.
            limit: Largest number of calls to return, 1 to 200.
            offset: Number of calls to skip, from the newest. 0 or more.
            is_blocked: Only calls that contact rules kept out (true), or only those they let through (false).
                Left out, an admin key sees both. Agent keys never see what was kept out.
            start_datetime: Earliest time, as an ISO 8601 date or date and time; for identities only.
            end_datetime: Latest time, as an ISO 8601 date or date and time; for identities only.
            tz: IANA time zone in which dates without an offset are read; for identities only.

        Raises:
            ValueError: a phone number and something that is for identities only were given.
            InkboxAPIError: 404, there is no such number or identity, or the API key may not see it; 422, an
                admin key named neither, or a value is out of range.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `GET /api/v1/phone/calls`, `GET /api/v1/phone/numbers/{phone_number_id}/calls`.
        """
        if phone_number_id is None:
            return await super().list(
                agent_identity_id=agent_identity_id,
                limit=limit,
                offset=offset,
                is_blocked=is_blocked,
                start_datetime=start_datetime,
                end_datetime=end_datetime,
                tz=tz,
            )
        if any(value is not None for value in (agent_identity_id, start_datetime, end_datetime, tz)):
            raise ValueError(
                "the calls of a phone number cannot be selected by identity or date; "
                "give agent_identity_id instead of the phone number"
            )
        return await self.list_for_number(phone_number_id, limit=limit, offset=offset, is_blocked=is_blocked)

    @overload
    async def get(self, call_id: UUID | str, /) -> PhoneCall: ...
    @overload
    async def get(self, *, call_id: UUID | str) -> PhoneCall: ...
    @overload
    async def get(self, phone_number_id: UUID | str, call_id: UUID | str) -> PhoneCall: ...

    async def get(
        self, phone_number_id: UUID | str | None = None, call_id: UUID | str | None = None
    ) -> PhoneCall:
        """Get one call: `get(call_id)`, or `get(phone_number_id, call_id)` where older servers want both.

        Args:
            phone_number_id: Id of the phone number.
            call_id: Id of the call.

        Raises:
            InkboxAPIError: 404, there is no such call, or the API key may not see it.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `GET /api/v1/phone/calls/{call_id}`,
            `GET /api/v1/phone/numbers/{phone_number_id}/calls/{call_id}`.
        """
        ids = [value for value in (phone_number_id, call_id) if value is not None]
        match ids:
            case [number, call]:
                return await self.get_for_number(number, call)
            case [call]:
                return await super().get(call)
            case _:
                raise ValueError("call_id must be given")
