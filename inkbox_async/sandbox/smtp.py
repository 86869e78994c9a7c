"""The SMTP server that takes in mail from outside (RFC 5321, 8BITMIME, SIZE, SMTPUTF8)."""

from __future__ import annotations

import asyncio
import logging

from aiosmtpd.smtp import SMTP, Envelope, Session, syntax

from .mail.outsiders import receive
from .mail.rows import active_mailbox
from .mail.words import storable
from .parts import Parts
from .settings import PLATFORM_DOMAIN

logger = logging.getLogger("inkbox_async.sandbox")

MAX_MESSAGE_BYTES = 36 * 1024 * 1024
"""Largest message: 25 MB of attachments in base64, and what is around them."""
MAX_RECIPIENTS = 100
"""Recipients of one message; RFC 5321, section 4.5.3.1.8, asks for at least as many."""
MAX_MESSAGES = 100
"""Messages of one session."""
IDLE_SECONDS = 300.0
_MAX_COMMANDS = {"*": 100, "MAIL": MAX_MESSAGES, "DATA": MAX_MESSAGES, "RCPT": MAX_MESSAGES * MAX_RECIPIENTS}
_NULL_SENDER = "<>"


class SmtpServer:
    """Takes in mail for the mailboxes of one sandbox."""

    def __init__(self, sandbox: Parts, host: str, port: int) -> None:
        """`port` 0 takes a free one; `port` is the real one after `start`."""
        self._sandbox = sandbox
        self._host = host
        self._asked_port = port
        self._server: asyncio.Server | None = None
        self._sessions: set[_SmtpSession] = set()
        self.port = port

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The port is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, self._host, self._asked_port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut off every session."""
        if self._server is None:
            return
        self._server.close()
        await asyncio.gather(*[session.cut_off() for session in self._sessions])
        await self._server.wait_closed()
        self._server = None

    def _session(self) -> _SmtpSession:
        return _SmtpSession(_Reception(self._sandbox), self._sessions)


class _SmtpSession(SMTP):
    """One connection."""

    line_length_limit = MAX_MESSAGE_BYTES
    """Longer than RFC 5321 has it: many programs write paragraphs as one line, or end lines with LF alone."""

    def __init__(self, reception: _Reception, sessions: set[_SmtpSession]) -> None:
        super().__init__(
            reception,
            data_size_limit=MAX_MESSAGE_BYTES,
            enable_SMTPUTF8=True,
            hostname=f"mx.{PLATFORM_DOMAIN}",
            ident="ESMTP Inkbox sandbox",
            timeout=IDLE_SECONDS,
            command_call_limit=_MAX_COMMANDS,
            loop=asyncio.get_running_loop(),
        )
        self._sessions = sessions

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._sessions.add(self)
        if self._handler_coroutine is not None:
            self._handler_coroutine.add_done_callback(_retrieve)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._sessions.discard(self)

    @syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Take in a message in one piece: line by line, as aiosmtpd does it, long mail holds up the loop."""
        if await self.check_helo_needed() or self.envelope is None:
            return
        if arg or not self.envelope.rcpt_tos:
            await self.push("501 Syntax: DATA" if arg else "503 Error: need RCPT command")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = await self._read_message()
        if content is None:
            status = "552 5.3.4 The message is too large"
        else:
            self.envelope.content = self.envelope.original_content = content
            status = await self._call_handler_hook("DATA")
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        await self.push(status)

    async def _read_message(self) -> bytes | None:
        """The bytes up to the lone dot, without stuffed dots (RFC 5321, 4.5.2); None for too many."""
        # With a line end in front, the end of an empty message looks like every other.
        self._reader._buffer[:0] = b"\r\n"  # type: ignore[attr-defined]
        too_large = False
        while True:
            try:
                content = await self._reader.readuntil(b"\r\n.\r\n")
            except asyncio.LimitOverrunError as error:
                too_large = True
                await self._reader.readexactly(error.consumed)
                continue
            if too_large or len(content) > MAX_MESSAGE_BYTES:
                return None
            return content[:-3].replace(b"\r\n.", b"\r\n")[2:]

    async def cut_off(self) -> None:
        """Close the connection at once."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
            await asyncio.wait([self._handler_coroutine])


class _Reception:
    """Decides about senders, recipients and messages."""

    def __init__(self, sandbox: Parts) -> None:
        self._sandbox = sandbox

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        # aiosmtpd takes an empty sender, which bounces have, for none at all.
        envelope.mail_from = address or _NULL_SENDER
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender accepted"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients; send the message to the others again"
        mailbox = await self._sandbox.store.run(lambda tx: active_mailbox(tx, storable(address)))
        if mailbox is None:
            return "550 5.1.1 There is no mailbox of that name here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Recipient accepted"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        sender = envelope.mail_from or _NULL_SENDER
        mail_from = None if sender == _NULL_SENDER else storable(sender)
        raw = envelope.original_content or b""
        deliveries = await receive(self._sandbox, raw, mail_from, envelope.rcpt_tos)
        if not deliveries:
            return "550 5.1.1 The mailbox no longer exists"
        return f"250 2.0.0 Message accepted as {deliveries[0].message_id}"

    async def handle_exception(self, error: Exception) -> str:
        """A failure of the sandbox goes to its log, not to the sender."""
        logger.error("Mail could not be taken in", exc_info=error)
        return "451 4.3.0 The sandbox failed; its log says why"


def _retrieve(task: asyncio.Task[None]) -> None:
    """A connection that breaks is no error worth a word."""
    if not task.cancelled():
        task.exception()
