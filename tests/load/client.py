"""A load client that costs little: prepared requests over keep-alive connections, one outstanding on each.

`python -m tests.load.client URL PATH RUN COUNT BATCH CONNECTIONS` prints one JSON line with rate and latencies.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import uvloop

from tests.load.events import bodies

_MEDIA = {1: b"application/cloudevents+json"}
_BATCH_MEDIA = b"application/cloudevents-batch+json"


def requests(path: str, host: str, run: str, count: int, batch: int) -> list[bytes]:
    """The bytes to send."""
    media = _MEDIA.get(batch, _BATCH_MEDIA)
    head = b"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return [head % (path.encode(), host.encode(), media, len(body)) + body for body in bodies(run, count, batch)]


async def _worker(host: str, port: int, work: Iterator[bytes], latencies: list[float], bad: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for request in work:
        begun = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if length:
            await reader.readexactly(length)
        latencies.append(time.perf_counter() - begun)
        if b" 202 " not in head[:20]:
            bad.append(head[:60])
    writer.close()


async def drive(url: str, path: str, run: str, count: int, batch: int, connections: int) -> dict[str, float]:
    """Send everything; events a second and latencies in milliseconds.

    Raises:
        RuntimeError: an answer was not 202.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    prepared = requests(path, f"{host}:{port}", run, count, batch)
    work, latencies, bad = iter(prepared), [], []  # type: ignore[var-annotated]
    begun = time.perf_counter()
    await asyncio.gather(*(_worker(host, port, work, latencies, bad) for _ in range(connections)))
    seconds = time.perf_counter() - begun
    if bad:
        raise RuntimeError(f"{len(bad)} answers were not 202, the first: {bad[0]!r}")
    latencies.sort()
    return {
        "events_per_second": round(count / seconds, 1),
        "p50_ms": round(latencies[len(latencies) // 2] * 1e3, 2),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1e3, 2),
    }


if __name__ == "__main__":
    url, path, run, *numbers = sys.argv[1:]
    sys.stdout.write(json.dumps(uvloop.run(drive(url, path, run, *map(int, numbers)))) + "\n")
