"""`python -m inkbox_async`: what the package does from the command line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from .client import AsyncInkbox
from .tunnels import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m inkbox_async",
        description="Inkbox from the command line.",
        epilog="The local Inkbox has a command of its own: inkbox-sandbox.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    tunnel = commands.add_parser(
        "tunnel",
        help="serve a local URL or application through a tunnel",
        description="Put a local URL or ASGI application at the public address of an identity's tunnel.",
        epilog="The API key comes from INKBOX_API_KEY or ~/.inkbox/config.",
    )
    cli.add_arguments(tunnel)
    tunnel.add_argument("--base-url", metavar="URL", help="origin of the server; else INKBOX_BASE_URL")
    parsed = parser.parse_args(arguments)
    try:
        return asyncio.run(_tunnel(parsed))
    except KeyboardInterrupt:
        return 130


async def _tunnel(arguments: argparse.Namespace) -> int:
    try:
        inkbox = AsyncInkbox(base_url=arguments.base_url)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        return await cli.run(inkbox.tunnels, arguments)
    finally:
        await inkbox.aclose()


if __name__ == "__main__":
    sys.exit(main())
