"""The vault beside the official client on one sandbox: unlocking, decryption, one-time codes, loop stalls."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

from inkbox_async import (
    APIKeyPayload,
    AsyncInkbox,
    KeyPairPayload,
    LoginPayload,
    OtherPayload,
    SSHKeyPayload,
    TOTPConfig,
)
from inkbox_async.vault.crypto import VaultCipher
from inkbox_async.vault.payloads import SecretPayload

from .processes import Options, Worker, program, sandbox, with_peer
from .report import Row, Target, at_most
from .rounds import median, ratio, take_turns
from .vault_worker import CODES, ORG_KEY, SEED, VAULT_KEY

SECRETS = 1000
STALL_PROCESSES = 5
PAYLOADS: list[SecretPayload] = [
    LoginPayload("s3cret", "ada", "ada@example.com", "https://example.com/login", TOTPConfig(SEED)),
    APIKeyPayload("ak_" + "x" * 40, "https://api.example.com"),
    KeyPairPayload("AK", "SK" * 20),
    SSHKeyPayload("-----BEGIN OPENSSH PRIVATE KEY-----\n" + "A" * 1500),
    OtherPayload("any freeform content " * 10),
]


def run(options: Options) -> list[Row]:
    """Both vaults in turns, each in a process of its own; then how long ours holds up the loop."""
    few = max(5, options.rounds // 2)
    with sandbox() as ready, ExitStack() as stack:
        url, key = ready["base_url"], ready["api_key"]
        asyncio.run(_initialize(url, key))
        workers = {}
        for kind in ("ours", "official"):
            env = (
                os.environ | (with_peer(options.peer) if kind == "official" else {}) | {"INKBOX_API_KEY": key}
            )
            workers[kind] = Worker(
                stack.enter_context(program("benchmarks.vault_worker", kind, url, env=env))
            )
            workers[kind].line()
        rows = [_row("unlock, empty vault", workers, "unlock", few, at_most(1.05))]
        asyncio.run(_fill(url, key))
        rows.append(_row(f"unlock, {SECRETS:,} secrets", workers, "unlock", few, at_most(1.05)))
        first, later = _stalls(url, key)
        sealed = _sealed()
        for worker in workers.values():
            worker.measure(what="decrypt", sealed=sealed)
        rows.append(_row(f"decrypt {SECRETS:,} secrets, no requests", workers, "decrypt", options.rounds))
        rows.append(_row(f"{CODES:,} one-time codes", workers, "codes", options.rounds))
    note = f"a process's first, with its imports; later ones {later * 1e3:.1f} ms"
    return [
        *rows,
        Row("longest stall of the loop in an unlock", first * 1e3, "ms", at_most(25.0), None, note),
    ]


def _row(name: str, workers: dict[str, Worker], what: str, rounds: int, target: Target | None = None) -> Row:
    """By processor time, threads included: what an unlock computes, other work on the machine only delays."""
    turns = take_turns({kind: worker.order(what=what) for kind, worker in workers.items()}, rounds)
    beside = ratio(turn["ours"].cost / turn["official"].cost for turn in turns)
    note = ", ".join(
        f"{kind} {median(turn[kind].cost for turn in turns) * 1e3:.1f} ms"
        f" ({median(turn[kind].elapsed for turn in turns) * 1e3:.1f} passed)"
        for kind in workers
    )
    return Row(f"{name} / official", beside.median, "x", target, beside.spread, note)


async def _initialize(url: str, key: str) -> None:
    async with AsyncInkbox(key, base_url=url) as client:
        await client.vault.initialize(VAULT_KEY)


async def _fill(url: str, key: str) -> None:
    async with AsyncInkbox(key, base_url=url) as client:
        unlocked = await client.vault.unlock(VAULT_KEY)
        for number in range(SECRETS):
            await unlocked.create_secret(f"Secret {number}", PAYLOADS[number % len(PAYLOADS)])


def _sealed() -> list[dict[str, Any]]:  # Any: JSON
    cipher = VaultCipher(ORG_KEY)
    ids = [str(uuid4()) for _ in range(SECRETS)]
    return [
        {
            "id": secret_id,
            "name": "benchmark",
            "secret_type": str(payload.secret_type),
            "created_at": "2026-06-01T12:00:00Z",
            "updated_at": "2026-06-01T12:00:00Z",
            "encrypted_payload": cipher.seal_payload(payload.to_wire(), secret_id),
        }
        for number, secret_id in enumerate(ids)
        for payload in (PAYLOADS[number % len(PAYLOADS)],)
    ]


def _stalls(url: str, key: str) -> tuple[float, float]:
    """The longest stalls of first and of later unlocks: medians of some fresh processes."""
    command = [sys.executable, "-m", "benchmarks.vault_stall", url]
    environment = {**os.environ, "INKBOX_API_KEY": key, "INKBOX_BENCHMARK_VAULT_KEY": VAULT_KEY}
    pairs = [
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()
        for _ in range(STALL_PROCESSES)
    ]
    return median(float(first) for first, _ in pairs), median(float(later) for _, later in pairs)
