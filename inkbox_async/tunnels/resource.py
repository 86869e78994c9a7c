"""Tunnels beyond the specification: `connect`, certificates as bytes, and what their conflicts mean."""

from __future__ import annotations

import builtins
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from ..errors import InkboxAPIError, TunnelCSRStateConflict, TunnelTLSModeMismatch, readable_detail
from ..generated.models.tunnels import SignedCert, TLSMode, Tunnel, TunnelList
from ..generated.resources import tunnels as generated
from ..resource import segment
from ..secrecy import hiding
from ..transport import Transport
from ..unset import UNSET, Unset
from .control import ControlPlane
from .listener import TunnelListener
from .options import CaBundle, ForwardTo, ListenerOptions
from .protocol import DEFAULT_BODY_LIMIT

SIGNING_TIMEOUT: Final = 180.0
_MODE_WORDS: Final = ("edge", "tls_mode", "passthrough")


class TunnelsResource(generated.TunnelsResource):
    """Tunnels as data; `connect` brings a local application online through one."""

    async def list(self) -> builtins.list[Tunnel]:
        """List the tunnels that the API key may see.

        Returns:
            The tunnels; deleted ones are not among them.

        Raises:
            InkboxAPIError: 401, the API key is missing, wrong, expired or revoked.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `GET /api/v1/tunnels/`.
        """
        # The live service has answered with and without the surrounding object.
        answer = await self._transport.request("GET", "/api/v1/tunnels/", TunnelList | builtins.list[Tunnel])
        return answer.tunnels if isinstance(answer, TunnelList) else answer

    async def update(
        self, tunnel_id: UUID | str, *, metadata: Mapping[str, object] | Unset | None = UNSET
    ) -> Tunnel:
        """Replace the metadata of a tunnel; everything else about it is fixed, or follows its identity.

        Args:
            tunnel_id: Id of the tunnel.
            metadata: The new metadata, at most 4 KB as JSON; None clears it. Left out, nothing changes.

        Returns:
            The tunnel.

        Raises:
            ValueError: `metadata` is no mapping.
            InkboxAPIError: 404, there is no such tunnel, or the API key may not see it; 422, the metadata is
                too large.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `PATCH /api/v1/tunnels/{tunnel_id}`.
        """
        if metadata is not None and not isinstance(metadata, (Mapping, Unset)):
            raise ValueError("metadata must be a mapping, or None to clear it")
        return await super().update(tunnel_id, metadata=metadata)

    async def sign_csr(self, tunnel_id: UUID | str, *, csr_pem: str | bytes) -> SignedCert:
        """Have a certificate signed for a passthrough tunnel; that may take up to three minutes.

        Args:
            tunnel_id: Id of the tunnel.
            csr_pem: The certificate signing request (PKCS#10, PEM). Its common name is the public host.

        Returns:
            The certificate. For TLS, serve `cert_pem` followed by `chain_pem`.

        Raises:
            ValueError: `csr_pem` is not PEM.
            TunnelTLSModeMismatch: The tunnel is not a passthrough tunnel.
            TunnelCSRStateConflict: The tunnel's status does not allow it.
            InkboxAPIError: 400, the request is unreadable or names another host; 404, there is no such
                tunnel; 429, more than 4 certificates in 7 days.
            InkboxConnectionError: the server could not be reached or did not answer in time.

        Source: `POST /api/v1/tunnels/{tunnel_id}/sign-csr`.
        """
        try:
            text = csr_pem.decode("ascii") if isinstance(csr_pem, bytes) else csr_pem
        except UnicodeDecodeError:
            raise ValueError("csr_pem must be PEM, which is ASCII") from None
        try:
            return await self._transport.request(
                "POST",
                f"/api/v1/tunnels/{segment(tunnel_id)}/sign-csr",
                SignedCert,
                body={"csr_pem": text},
                timeout=SIGNING_TIMEOUT,
            )
        except InkboxAPIError as error:
            if error.status_code != 409:
                raise
            raise _conflict(error) from error

    @hiding
    def connect(
        self,
        *,
        name: str,
        forward_to: ForwardTo,
        tls_mode: TLSMode | str | None = None,
        pool_size: int | None = None,
        state_dir: str | os.PathLike[str] | None = None,
        on_status: Callable[[str], object] | None = None,
        allow_remote_forwarding: bool = False,
        forward_to_verify_tls: bool = True,
        forward_to_ca_bundle: CaBundle | None = None,
        data_plane_zone: str | None = None,
        max_inbound_body_bytes: int = DEFAULT_BODY_LIMIT,
        max_outbound_body_bytes: int = DEFAULT_BODY_LIMIT,
        enable_h2_transcode: bool = True,
        ca: CaBundle | None = None,
    ) -> TunnelListener:
        """A listener that brings a local application online; it starts when it is entered or served.

        Not a coroutine: nothing is sent yet. The API key of the client is the listener's, too; a key of the
        tunnel's own identity is the safer choice (`api_keys.create(scoped_identity_id=...)`).

        Args:
            name: Name of the tunnel, which is the handle of its identity.
            forward_to: An `http://` or `https://` URL on this machine, or an ASGI application.
            tls_mode: `edge` or `passthrough`, to be sure; the mode itself is fixed when the identity is
                created.
            pool_size: How many requests may be handed over at the same moment, 1 to 32. Left out, the edge
                decides. It does not limit how many are being answered.
            state_dir: Directory of the tunnel's state and, for a passthrough tunnel, its private key.
                `~/.inkbox/tunnels/{name}` when left out.
            on_status: Called with each new status, on the event loop or thread of the tunnel.
            allow_remote_forwarding: Permits URLs that lead to other machines.
            forward_to_verify_tls: False accepts any certificate of an `https://` target.
            forward_to_ca_bundle: More authorities for an `https://` target: PEM bytes, or a path.
            data_plane_zone: Host, or `host:port`, to connect to in place of the one the tunnel names.
            max_inbound_body_bytes: Larger requests are answered with 413.
            max_outbound_body_bytes: Larger responses are replaced by 502, or broken off.
            enable_h2_transcode: Passthrough: offer HTTP/2 to third parties besides HTTP/1.1.
            ca: More authorities for the edge: PEM bytes, or a path. Left out, `INKBOX_CA_BUNDLE`.

        Returns:
            The listener; use `async with`, `serve_forever()` or `wait()`.

        Raises:
            TunnelNameInvalid: `name` is not a legal handle.
            ForwardTargetRefused: `forward_to` leads to another machine.
            TypeError: `forward_to` is neither a URL nor callable.
            ValueError: Another argument is unusable, or the client has no API key.
            OSError: A CA bundle cannot be read.
        """
        options = ListenerOptions(
            name=name,
            forward_to=forward_to,
            tls_mode=tls_mode,
            pool_size=pool_size,
            state_dir=state_dir,
            on_status=on_status,
            allow_remote_forwarding=allow_remote_forwarding,
            forward_to_verify_tls=forward_to_verify_tls,
            forward_to_ca_bundle=forward_to_ca_bundle,
            data_plane_zone=data_plane_zone,
            max_inbound_body_bytes=max_inbound_body_bytes,
            max_outbound_body_bytes=max_outbound_body_bytes,
            enable_h2_transcode=enable_h2_transcode,
            ca=ca,
        )
        settings = self._transport.settings
        if settings.api_key is None:
            raise ValueError("a tunnel needs a client with an API key")

        @asynccontextmanager
        async def shared() -> AsyncIterator[ControlPlane]:
            yield self

        @asynccontextmanager
        async def own() -> AsyncIterator[ControlPlane]:
            # A thread with an event loop of its own cannot use the connections of the client's.
            transport = Transport(settings)
            try:
                yield TunnelsResource(transport)
            finally:
                await transport.aclose()

        return TunnelListener(options, api_key=settings.api_key, control=shared, own_control=own)


def _conflict(error: InkboxAPIError) -> InkboxAPIError:
    """What a 409 of `sign_csr` is about can only be told from its text."""
    text = readable_detail(error.detail).lower()
    kind = TunnelTLSModeMismatch if any(word in text for word in _MODE_WORDS) else TunnelCSRStateConflict
    return kind(
        error.status_code,
        error.detail,
        retry_after=error.retry_after_seconds,
        agent_support=error.agent_support,
        request_id=error.request_id,
        method=error.method,
        path=error.path,
    )
