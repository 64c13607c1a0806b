"""Servers in processes of their own, as users start them, and requests to them."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

TOKEN = "a-token-of-some-length"

# `saccade serve` with limits that a test can reach.
_PROGRAM = """
import json, sys
from saccade.web.limits import Limits
from saccade.web.server import ListeningSocket
from saccade.deploy.server.serve import Access, handle_requests

paths, access, target_accuracy, limits = json.loads(sys.argv[1])
with ListeningSocket("127.0.0.1", 0) as listening:
    ready = lambda: print(listening.url, flush=True)
    handle_requests(listening, paths, Access(*access), target_accuracy, Limits(**limits), ready)
"""


class Server:
    """A running server.

    Attributes:
        url: URL of the server.
        process: process of the server.
    """

    def __init__(self, url, process):
        self.url, self.process = url, process

    def connection(self, timeout=30):
        """Return a new connection."""
        parts = urlsplit(self.url)
        return HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def request(self, method, path, body=None, **headers):
        """Send a request; return status, headers and body. Keyword arguments are headers, with _ for -."""
        connection = self.connection()
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, status=200, **headers):
        """Send a request; return the JSON of a response with this status. A body other than bytes is sent as JSON."""
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body)
        found, _, content = self.request(method, path, sent, **headers)
        assert found == status, content
        return json.loads(content)

    def stop(self, number=signal.SIGTERM):
        """Send a signal to the server; return its exit code and its stderr."""
        self.process.send_signal(number)
        _, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stderr


@contextmanager
def serving(*paths, token=None, hosts=(), origins=(), target_accuracy=None, limits=None):
    """Run a server of runs or files until the end of the block."""
    arguments = json.dumps([list(map(str, paths)), [token, list(hosts), list(origins)], target_accuracy, limits or {}])
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        url = process.stdout.readline().strip()
        assert url, process.stderr.read()
        yield Server(url, process)
    finally:
        process.kill()
        process.communicate()
