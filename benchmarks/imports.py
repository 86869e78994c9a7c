"""What importing costs, in fresh processes: this package, the official one, and what ours stands on."""

from __future__ import annotations

import statistics
import subprocess
import sys

PROCESSES = 7
STATEMENTS = (
    "import inkbox_async",
    "from inkbox_async import AsyncInkbox",
    "from inkbox import Inkbox",
    "import aiohttp",
    "import aiohttp; from pydantic import BaseModel, TypeAdapter",
)


def _milliseconds(statement: str) -> float:
    """Processor time of an import, which other processes disturb less than the time that passes."""
    program = f"import time; start = time.process_time(); {statement}; print(time.process_time() - start)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(run.stdout) * 1e3


def run() -> None:
    """Measures every import and prints the medians."""
    print(f"Imports: processor time in fresh processes, medians of {PROCESSES}\n")
    for statement in STATEMENTS:
        median = statistics.median(_milliseconds(statement) for _ in range(PROCESSES))
        print(f"{statement:62}{median:8.1f} ms")
    print()


if __name__ == "__main__":
    run()
