"""Command line: `python -m codegen` writes the generated rooms, `--check` tells whether they are current."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .output import differences, install, render
from .specification import SpecificationError

HOME = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Run the generator; returns 0 when current or written, 1 when out of date, 2 on a faulty document."""
    parser = argparse.ArgumentParser(prog="python -m codegen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything differs")
    parser.add_argument("--spec", type=Path, default=HOME / "openapi", help="folder of the OpenAPI documents")
    parser.add_argument(
        "--output",
        type=Path,
        default=HOME / "inkbox_async" / "generated",
        help="folder of the generated files",
    )
    options = parser.parse_args(arguments)
    try:
        wanted = render(options.spec)
    except SpecificationError as error:
        print(f"specification: {error}", file=sys.stderr)
        return 2
    changes = differences(wanted, options.output)
    if not options.check:
        install(wanted, options.output)
    if not changes:
        print(f"{len(wanted)} generated files are current")
        return 0
    verb = "out of date" if options.check else "written"
    print(f"{len(changes)} of {len(wanted)} generated files {verb}:")
    for line in changes:
        print(f"  {line}")
    if options.check:
        print("run `make generate` and commit the result")
    return 1 if options.check else 0


if __name__ == "__main__":
    sys.exit(main())
