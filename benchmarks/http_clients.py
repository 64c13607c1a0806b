"""HTTP clients that send requests to a server continuously, each over its own connection.

    python http_clients.py URL FILE N SECONDS

Runs in a separate process, so that the processor times of clients and server are measured separately. Sends the bytes
of FILE to URL and prints JSON: total seconds, processor seconds of this process, and latencies of the requests in
seconds.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit


async def send_requests(host: str, port: int, request: bytes, end: float, latencies: list[float]) -> None:
    """Send one request after another until the end time."""
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
    """Send requests and print the measurements."""
    url, file, clients, seconds = sys.argv[1:]
    address, body = urlsplit(url), Path(file).read_bytes()
    path = address.path + (f"?{address.query}" if address.query else "")
    head = f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    host, port = address.hostname or "", address.port or 80
    await asyncio.gather(
        *(send_requests(host, port, request, time.perf_counter() + 1, []) for _ in range(int(clients)))
    )
    latencies: list[float] = []
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    end = began + float(seconds)
    await asyncio.gather(*(send_requests(host, port, request, end, latencies) for _ in range(int(clients))))
    elapsed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sys.stdout.write(json.dumps({"seconds": elapsed, "processor_seconds": processor, "latencies": latencies}))


if __name__ == "__main__":
    asyncio.run(main())
