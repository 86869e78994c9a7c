"""The vault beside the official client on one sandbox: unlocking, decryption, one-time codes, loop stalls."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import inkbox as official
from inkbox.vault import crypto as official_crypto
from inkbox.vault import types as official_types

from inkbox_async import (
    APIKeyPayload,
    AsyncInkbox,
    KeyPairPayload,
    LoginPayload,
    OtherPayload,
    SSHKeyPayload,
    TOTPConfig,
    generate_totp,
)
from inkbox_async.generated.models.vault import VaultSecretDetail
from inkbox_async.vault.crypto import VaultCipher
from inkbox_async.vault.decrypted import open_secrets
from inkbox_async.vault.payloads import SecretPayload

VAULT_KEY = "my-Vault-key-01!"
SECRETS = 1000
STALL_PROCESSES = 5
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
PAYLOADS: list[SecretPayload] = [
    LoginPayload("s3cret", "ada", "ada@example.com", "https://example.com/login", TOTPConfig(SEED)),
    APIKeyPayload("ak_" + "x" * 40, "https://api.example.com"),
    KeyPairPayload("AK", "SK" * 20),
    SSHKeyPayload("-----BEGIN OPENSSH PRIVATE KEY-----\n" + "A" * 1500),
    OtherPayload("any freeform content " * 10),
]


@contextmanager
def _sandbox() -> Iterator[tuple[str, str]]:
    """A sandbox in a process of its own: its address and an admin key."""
    command = [sys.executable, "-m", "inkbox_async.sandbox", "--json"]
    for port in ("--port", "--smtp-port", "--edge-port"):
        command += [port, "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield ready["base_url"], ready["api_key"]
    finally:
        process.terminate()
        process.wait()


def _times(call: Callable[[], object], seconds: float) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end or len(times) < 3:
        call()
        times.append(time.perf_counter() - start)
    return times


async def _fill(url: str, key: str) -> None:
    async with AsyncInkbox(key, base_url=url) as client:
        unlocked = await client.vault.unlock(VAULT_KEY)
        for number in range(SECRETS):
            await unlocked.create_secret(f"Secret {number}", PAYLOADS[number % len(PAYLOADS)])


def _row(name: str, unit: str, scale: float, ours: list[float], theirs: list[float]) -> None:
    our, their = statistics.median(ours) * scale, statistics.median(theirs) * scale
    print(f"{name:40}{our:10.2f}{their:10.2f} {unit:3}{their / our:8.2f}x")


async def _unlock(name: str, url: str, key: str, seconds: float) -> None:
    """Both clients in turns, so that whatever else the machine does slows both."""
    ours: list[float] = []
    theirs: list[float] = []
    with official.Inkbox(key, base_url=url) as peer:
        async with AsyncInkbox(key, base_url=url) as client:
            end = time.perf_counter() + 2 * seconds
            while (start := time.perf_counter()) < end or len(ours) < 3:
                await client.vault.unlock(VAULT_KEY)
                turn = time.perf_counter()
                peer.vault.unlock(VAULT_KEY)
                ours.append(turn - start)
                theirs.append(time.perf_counter() - turn)
    _row(name, "ms", 1e3, ours, theirs)


def _decryption(seconds: float) -> None:
    org_key = bytes(range(32))
    cipher = VaultCipher(org_key)
    sealed = [_sealed(cipher, PAYLOADS[number % len(PAYLOADS)]) for number in range(SECRETS)]

    def theirs() -> object:
        return [
            official_types._parse_payload(
                item.secret_type.value,
                official_crypto.decrypt_payload(org_key, item.encrypted_payload, str(item.id)),
            )
            for item in sealed
        ]

    ours = _times(lambda: open_secrets(cipher, sealed), seconds)
    _row(f"decrypt {SECRETS} secrets, no requests", "ms", 1e3, ours, _times(theirs, seconds))


def _sealed(cipher: VaultCipher, payload: SecretPayload) -> VaultSecretDetail:
    secret_id = str(uuid4())
    return VaultSecretDetail.model_validate(
        {
            "id": secret_id,
            "name": "benchmark",
            "secret_type": payload.secret_type,
            "created_at": "2026-06-01T12:00:00Z",
            "updated_at": "2026-06-01T12:00:00Z",
            "encrypted_payload": cipher.seal_payload(payload.to_wire(), secret_id),
        }
    )


def _codes(seconds: float) -> None:
    our_config, their_config = TOTPConfig(SEED), official.TOTPConfig(SEED)

    def many(call: Callable[[], object]) -> Callable[[], object]:
        return lambda: [call() for _ in range(1000)]

    ours = _times(many(lambda: generate_totp(our_config)), seconds)
    theirs = _times(many(lambda: official.generate_totp(their_config)), seconds)
    _row("one-time code", "µs", 1e3, ours, theirs)


def run(seconds: float = 2.0) -> None:
    """Measures both clients and prints the ratios.

    Args:
        seconds: How long each measurement runs.
    """
    print(f"Vault: Argon2id with 64 MiB, on Python {sys.version.split()[0]}, medians\n")
    print(f"{'':40}{'ours':>10}{'theirs':>10}{'ratio':>13}")
    with _sandbox() as (url, key):
        asyncio.run(_initialize(url, key))
        asyncio.run(_unlock("unlock, empty vault", url, key, seconds))
        asyncio.run(_fill(url, key))
        asyncio.run(_unlock(f"unlock, {SECRETS} secrets", url, key, seconds))
        first, later = _stalls(url, key)
    _decryption(seconds)
    _codes(seconds)
    print(
        f"\nlongest stall of the event loop in our unlock of {SECRETS} secrets: {first * 1e3:.1f} ms in a "
        f"process's first, with its imports, {later * 1e3:.1f} ms in later ones\n"
    )


async def _initialize(url: str, key: str) -> None:
    async with AsyncInkbox(key, base_url=url) as client:
        await client.vault.initialize(VAULT_KEY)


def _stalls(url: str, key: str) -> tuple[float, float]:
    """The longest stalls of first and of later unlocks, over some fresh processes."""
    command = [sys.executable, "-m", "benchmarks.vault_stall", url]
    environment = {**os.environ, "INKBOX_API_KEY": key, "INKBOX_BENCHMARK_VAULT_KEY": VAULT_KEY}
    pairs = [
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()
        for _ in range(STALL_PROCESSES)
    ]
    return max(float(first) for first, _ in pairs), max(float(later) for _, later in pairs)


if __name__ == "__main__":
    run()
