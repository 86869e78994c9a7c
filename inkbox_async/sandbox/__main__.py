"""The command line: `python -m inkbox_async.sandbox`, also installed as `inkbox-sandbox`."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import shlex
import signal
import sys
from collections.abc import Sequence

from .app import Sandbox
from .edge.limits import EdgeLimits
from .store import StoreError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sandbox until SIGINT or SIGTERM; the exit code is 0 after either, 1 when it cannot start."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        options.edge_limits = EdgeLimits.parse(options.edge_limit)
    except ValueError as error:
        parser.error(f"argument --edge-limit: {error}")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_serve(options))
    except KeyboardInterrupt:
        return 0
    except (OSError, StoreError) as error:
        print(f"The sandbox cannot start: {error}", file=sys.stderr)
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            hint = "Give --port, --smtp-port or --edge-port another number; 0 takes a free port."
            print(hint, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inkbox-sandbox",
        description="A local Inkbox: real SMTP, WebSockets, webhooks and tunnels, no account, no network.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, default=8040, help="port of the API, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--smtp-port",
        type=_port,
        default=2525,
        help="port that takes mail, 0 for a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--edge-port",
        type=_port,
        default=8443,
        help="port of the tunnel edge, 0 for a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--data", metavar="PATH", help="keep the data in this SQLite file (default: in memory)"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON when ready")
    parser.add_argument("--zone", help="host that tunnel clients dial (default: localhost:EDGE_PORT)")
    parser.add_argument("--public-domain", help="domain of the tunnels' public names (default: the zone)")
    parser.add_argument(
        "--allow-external-webhooks",
        action="store_true",
        help="send webhooks to other machines, too (default: to this one only)",
    )
    parser.add_argument(
        "--edge-limit",
        metavar="NAME=NUMBER",
        action="append",
        default=[],
        help="a limit of the tunnel edge, such as response_deadline_seconds=5; may be given repeatedly, "
        "and an unknown name is answered with all names",
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    sandbox = Sandbox(
        host=options.host,
        port=options.port,
        smtp_port=options.smtp_port,
        edge_port=options.edge_port,
        data=options.data,
        zone=options.zone,
        public_domain=options.public_domain,
        allow_external_webhooks=options.allow_external_webhooks,
        edge_limits=options.edge_limits,
    )
    async with sandbox:
        print(json.dumps(_places(sandbox)) if options.json else _welcome(sandbox), flush=True)
        await stop.wait()


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: Ctrl-C arrives as KeyboardInterrupt
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))


def _places(sandbox: Sandbox) -> dict[str, str | int | None]:
    return {
        "base_url": sandbox.base_url,
        "api_key": sandbox.api_key,
        "organization_id": sandbox.organization_id,
        "control_url": sandbox.control_url,
        "console_url": sandbox.console_url,
        "smtp_host": sandbox.smtp_host,
        "smtp_port": sandbox.smtp_port,
        "edge_host": sandbox.edge_host,
        "edge_port": sandbox.edge_port,
        "ca_cert_path": sandbox.ca_cert_path,
    }


def _welcome(sandbox: Sandbox) -> str:
    exports = {"INKBOX_BASE_URL": sandbox.base_url, "INKBOX_API_KEY": sandbox.api_key}
    if (ca := sandbox.ca_cert_path) is not None:
        exports["INKBOX_CA_BUNDLE"] = ca
    places = {
        "organization": sandbox.organization_id,
        "console": sandbox.console_url,
        "control API": sandbox.control_url,
    }
    if sandbox.smtp_port is not None:
        places["mail (SMTP)"] = f"{sandbox.smtp_host}:{sandbox.smtp_port}"
    if sandbox.edge_port is not None:
        places["tunnel edge"] = f"https://{sandbox.edge_host}:{sandbox.edge_port}"
    lines = ["The Inkbox sandbox is ready. In the shell of your agent:", ""]
    lines += [f"  export {name}={shlex.quote(value)}" for name, value in exports.items()]
    lines += ["", *(f"  {name:13} {place}" for name, place in places.items()), "", "Stop it with Ctrl-C."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
