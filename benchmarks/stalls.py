"""How long the SDK ever holds up the event loop: fresh processes that walk through all of it on a sandbox.

A stall of the SDK's own comes back in every process, one of the machine's does not. So what counts for a step
is the median of the processes, and for the whole the worst step.
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from inkbox_async import AsyncInkbox

from .processes import Options, Worker, program, sandbox, stub_server
from .report import Row, at_most
from .rounds import median

PROCESSES = 5
SHOWN = 6
"""So many of the worst steps are named."""
ADA = "+14155550123"
EXPLAIN = "INKBOX_BENCHMARK_EXPLAIN"
"""Set in the environment, it has every process print where its loop stood still."""
SMS_SET_UP = 3600
"""Seconds in which a new number gets its permission to send texts."""

Json = dict[str, Any]  # Any: JSON


def run(options: Options) -> list[Row]:
    """The longest stall, in which step it was, and the runners-up."""
    del options  # whole processes are costly; their number is fixed
    with sandbox() as ready, stub_server() as stub:
        processes = [_walk(ready, stub) for _ in range(PROCESSES)]
    stalls = {step: median(process[step][0] for process in processes) * 1e3 for step in processes[0]}
    used = {step: median(process[step][1] for process in processes) * 1e3 for step in processes[0]}
    worst = sorted(stalls, key=stalls.__getitem__, reverse=True)
    always = max(min(process[step][0] for process in processes) for step in processes[0]) * 1e3
    once = max((stall * 1e3, step) for process in processes for step, (stall, _) in process.items())
    return [
        Row(
            "longest stall of the loop in the whole SDK",
            stalls[worst[0]],
            "ms",
            at_most(25.0),
            None,
            f"in {worst[0]}, {used[worst[0]]:.0f} ms of processor time; "
            f"in every process at most {always:.0f} ms; the worst of all {once[0]:.0f} ms, in {once[1]}",
        ),
        *(
            Row(f"  {step}", stalls[step], "ms", note=f"{used[step]:.0f} ms of processor time")
            for step in worst[1:SHOWN]
        ),
    ]


def _walk(ready: Json, stub: str) -> dict[str, list[float]]:
    organization = _control(ready, "organizations", {})
    about = {
        "base_url": ready["base_url"],
        "api_key": organization["api_key"],
        "ca_cert_path": ready["ca_cert_path"],
        "stub_url": stub,
        "handle": asyncio.run(_identity_in_touch(ready, organization["api_key"])),
        "events": _events(),
    }
    with program("benchmarks.stall_scenario", *(["--explain"] if EXPLAIN in os.environ else [])) as process:
        worker = Worker(process)
        worker.tell(about)
        stalls: dict[str, list[float]] = json.loads(worker.line())
    return stalls


async def _identity_in_touch(ready: Json, api_key: str) -> str:
    """Handle of an identity that a person has texted and connected to."""
    async with AsyncInkbox(api_key, base_url=ready["base_url"]) as client:
        identity = await client.create_identity(f"friend-{uuid4().hex[:8]}", imessage_enabled=True)
        number = (await identity.provision_phone_number(type="local", state="NY")).number
        triage = await client.imessages.get_triage_number()
    handle = identity.agent_handle
    # A person's number for each organization: one person is connected to one agent at a time.
    person = f"+1415555{uuid4().int % 10_000:04d}"
    for path, body in (
        ("clock", {"advance_seconds": SMS_SET_UP}),
        ("texts", {"from": ADA, "to": number, "text": "START"}),
        ("texts", {"from": ADA, "to": number, "text": "Are you open on Sunday?"}),
        ("imessages", {"from": person, "to": triage.number, "text": f"connect @{handle}"}),
        ("imessages", {"from": person, "text": "Do you take dogs?"}),
    ):
        _control(ready, path, body)
    return handle


def _control(ready: Json, path: str, body: Json) -> Json:
    request = urllib.request.Request(
        f"{ready['control_url']}/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        answer: Json = json.load(response)
        return answer


def _events() -> list[Json]:
    """One event of each family: the examples of the specification."""
    text = (Path(__file__).parents[1] / "openapi" / "events.yaml").read_text("utf-8")
    schemas = yaml.safe_load(text)["components"]["schemas"]
    return [
        schema["example"]
        for name, schema in schemas.items()
        if name.endswith("Event") and "example" in schema
    ]
