"""Runs every benchmark: `python -m benchmarks [--seconds 2]`."""

from __future__ import annotations

import argparse

from . import imports, requests, tunnels, vault


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="how long each measurement runs (default 2)"
    )
    arguments = parser.parse_args()
    imports.run()
    requests.run(arguments.seconds)
    vault.run(arguments.seconds)
    tunnels.run(arguments.seconds)


if __name__ == "__main__":
    main()
