"""One client in a process of its own, which does what it is told and measures itself.

    python -m benchmarks.worker KIND URL

Orders come as lines of JSON on standard input, samples leave as lines of JSON on standard output. So all
clients stay warm and connected while they take turns.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from time import perf_counter, process_time
from typing import Any

from .clients import AsyncCall, AsyncClient, BlockingCall, BlockingClient, async_client, blocking_client
from .rounds import Sample

Order = dict[str, Any]  # Any: JSON


def main() -> None:
    kind, url = sys.argv[1:]
    if kind == "official":
        with blocking_client(url) as client:
            _obey(lambda order: _blocking(client, order))
    else:
        asyncio.run(_serve(kind, url))


def _obey(measure: Callable[[Order], Sample]) -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(measure(json.loads(line)))), flush=True)


async def _serve(kind: str, url: str) -> None:
    threads = ThreadPoolExecutor(32)
    asyncio.get_running_loop().set_default_executor(threads)
    async with async_client(kind, url) as client:
        # A thread of its own waits for orders: it rests while something is measured.
        with ThreadPoolExecutor(1) as waiting:
            loop = asyncio.get_running_loop()
            print("ready", flush=True)
            while line := await loop.run_in_executor(waiting, sys.stdin.readline):
                print(json.dumps(asdict(await _measure(client, json.loads(line)))), flush=True)


async def _measure(client: AsyncClient, order: Order) -> Sample:
    if order["how"] == "walk":
        return await _timed(client.walk(order["pages"], order["pause"]))
    call = client.call(order["what"])
    if order["how"] == "one by one":
        return await _timed(_repeat(call, perf_counter() + order["seconds"]))
    return await _timed(_at_once(call, order["concurrency"], perf_counter() + order["seconds"]))


async def _timed(work: Coroutine[Any, Any, int]) -> Sample:
    start, processor = perf_counter(), process_time()
    calls = await work
    return Sample(calls, process_time() - processor, perf_counter() - start)


async def _repeat(call: AsyncCall, end: float) -> int:
    calls = 0
    while perf_counter() < end:
        await call()
        calls += 1
    return calls


async def _at_once(call: AsyncCall, concurrency: int, end: float) -> int:
    return sum(await asyncio.gather(*(_repeat(call, end) for _ in range(concurrency))))


def _blocking(client: BlockingClient, order: Order) -> Sample:
    start, processor = perf_counter(), process_time()
    failures = 0
    if order["how"] == "walk":
        calls = client.walk(order["pages"], order["pause"])
    elif order["how"] == "one by one":
        calls, failures = _repeat_blocking(client, client.call(order["what"]), start + order["seconds"])
    else:
        calls, failures = _in_threads(client, order, start + order["seconds"])
    return Sample(calls, process_time() - processor, perf_counter() - start, failures)


def _repeat_blocking(client: BlockingClient, call: BlockingCall, end: float) -> tuple[int, int]:
    calls = failures = 0
    while perf_counter() < end:
        try:
            call()
        except client.transport_error:
            # Its pool of connections breaks now and then when many threads share it.
            failures += 1
        else:
            calls += 1
    return calls, failures


def _in_threads(client: BlockingClient, order: Order, end: float) -> tuple[int, int]:
    call = client.call(order["what"])
    results: list[tuple[int, int]] = []
    threads = [
        threading.Thread(target=lambda: results.append(_repeat_blocking(client, call, end)))
        for _ in range(order["concurrency"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(calls for calls, _ in results), sum(failures for _, failures in results)


if __name__ == "__main__":
    main()
