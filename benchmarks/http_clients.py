"""Clients that ask a server over and over, each on a connection of its own.

    python http_clients.py URL FILE N SECONDS

A process of its own, so that its processor time can be told from the server's. It sends FILE's bytes to URL and prints
JSON: how many answers, their latencies in seconds, the seconds it took, and the processor time of this process.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit


async def ask_on(host: str, port: int, request: bytes, end: float, latencies: list[float]) -> None:
    """Asks until the end, one request after another."""
    reader, writer = await asyncio.open_connection(host, port)
    while time.perf_counter() < end:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(head.decode(errors="replace"))
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - began)
    writer.close()
    await writer.wait_closed()


async def main() -> None:
    """Asks, and prints what it took."""
    url, file, clients, seconds = sys.argv[1:]
    parts, body = urlsplit(url), Path(file).read_bytes()
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    host, port = parts.hostname or "", parts.port or 80
    await asyncio.gather(*(ask_on(host, port, request, time.perf_counter() + 1, []) for _ in range(int(clients))))
    latencies: list[float] = []
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    end = began + float(seconds)
    await asyncio.gather(*(ask_on(host, port, request, end, latencies) for _ in range(int(clients))))
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sys.stdout.write(json.dumps({"seconds": took, "processor_seconds": processor, "latencies": latencies}))


if __name__ == "__main__":
    asyncio.run(main())
