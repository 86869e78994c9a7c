"""The README and the pages of `docs/`: the programs that they show run as they stand."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from inkbox_async.sandbox import Sandbox

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    )
]


def is_program(code: str) -> bool:
    return "asyncio.run(" in code


def test_the_pages_show_programs() -> None:
    assert sum(is_program(str(block.values[0])) for block in BLOCKS) >= 3


@pytest.mark.parametrize("code", BLOCKS)
async def test_what_the_pages_show_runs(code: str, tmp_path: Path) -> None:
    if not is_program(code):
        compile(code, "<page>", "exec")
        return
    program = tmp_path / "program.py"
    program.write_text(code, encoding="utf-8")
    async with Sandbox() as sandbox:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-W",
            "error",
            str(program),
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "INKBOX_BASE_URL": sandbox.base_url,
                "INKBOX_API_KEY": sandbox.api_key,
            },
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
