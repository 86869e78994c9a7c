"""`python -m inkbox_async tunnel my-app --to URL`: a tunnel from the command line."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import InkboxError
from ..secrecy import public_url
from .exceptions import TunnelStateError

if TYPE_CHECKING:
    from .listener import TunnelListener
    from .options import ForwardTo
    from .resource import TunnelsResource


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the `tunnel` command."""
    parser.add_argument("name", help="name of the tunnel: the handle of its identity")
    parser.add_argument(
        "--to",
        required=True,
        metavar="URL|MODULE:APP",
        help="where requests go: a URL (http://127.0.0.1:8000) or an ASGI application (main:app)",
    )
    parser.add_argument("--pool-size", type=int, metavar="N", help="requests handed over at once, 1 to 32")
    parser.add_argument("--state-dir", metavar="DIR", help="default: ~/.inkbox/tunnels/NAME")
    parser.add_argument(
        "--zone", metavar="HOST[:PORT]", help="connect here instead of to the tunnel's own zone"
    )
    parser.add_argument(
        "--ca", metavar="FILE", help="more authorities for the edge (PEM); else INKBOX_CA_BUNDLE"
    )
    parser.add_argument("--upstream-ca", metavar="FILE", help="more authorities for an https:// target (PEM)")
    parser.add_argument(
        "--insecure-upstream", action="store_true", help="accept any certificate of an https:// target"
    )
    parser.add_argument(
        "--allow-remote-forwarding", action="store_true", help="permit a target on another machine"
    )
    parser.add_argument("--quiet", action="store_true", help="no line for each request")


def load_target(text: str) -> ForwardTo:
    """A URL as it is, or the application that `module:attribute` names.

    Raises:
        ValueError: It is neither.
    """
    if "://" in text:
        return text
    if "@" in text:
        # Not shown: an address that was mistyped may hold a password.
        raise ValueError("--to must be a URL, which begins with http:// or https://, or module:app")
    module, colon, attribute = text.partition(":")
    if attribute.partition("/")[0].isdigit():
        raise ValueError(f"--to {text} is not a URL; is http://{text} meant?")
    if not colon or not module or not attribute:
        raise ValueError(f"--to must be a URL or module:app, not {text!r}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: object = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"--to {text}: {error}") from error
    if not callable(found):
        raise ValueError(f"--to {text} is not an ASGI application")
    return found


def show(text: str) -> None:
    """One line for the reader, with the time of day."""
    print(f"{datetime.now().astimezone():%H:%M:%S}  {text}", flush=True)


class _Lines(logging.Handler):
    """Shows log records as lines."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            show(record.getMessage().removeprefix("tunnel: "))
        except Exception:
            self.handleError(record)


async def run(tunnels: TunnelsResource, arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM; returns the exit status."""
    announced = False

    def on_status(status: str) -> None:
        nonlocal announced
        show(status)
        if status == "connected" and not announced:
            announced = True
            show(f"{listener.public_url} -> {public_url(arguments.to)}")

    try:
        listener = tunnels.connect(
            name=arguments.name,
            forward_to=load_target(arguments.to),
            pool_size=arguments.pool_size,
            state_dir=arguments.state_dir,
            data_plane_zone=arguments.zone,
            ca=arguments.ca,
            forward_to_ca_bundle=arguments.upstream_ca,
            forward_to_verify_tls=not arguments.insecure_upstream,
            allow_remote_forwarding=arguments.allow_remote_forwarding,
            on_status=on_status,
        )
    except (ValueError, OSError, InkboxError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    handler = _Lines()
    root = logging.getLogger("inkbox_async.tunnels")
    root.addHandler(handler)
    root.setLevel(logging.WARNING if arguments.quiet else logging.INFO)
    try:
        return await _serve(listener)
    finally:
        root.removeHandler(handler)


async def _serve(listener: TunnelListener) -> int:
    loop = asyncio.get_running_loop()
    closing: set[asyncio.Task[None]] = set()

    def close() -> None:
        closing.add(loop.create_task(listener.aclose()))

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, close)
        except NotImplementedError:
            # Windows: Ctrl-C arrives as KeyboardInterrupt and cancels this task instead.
            break
    try:
        async with listener:
            await listener.serve_forever()
    except (InkboxError, TunnelStateError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        await asyncio.gather(*closing)
    return 0
