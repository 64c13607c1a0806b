"""Rows of `saccade serve`, with HTTP requests to the server."""

import json
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.commands.rows import Row


def _ask(url: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    parts = urlsplit(url)
    connection = HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    connection.request("GET" if body is None else "POST", path, body, headers)
    content = connection.getresponse()
    status, text = content.status, content.read()
    connection.close()
    return status, json.loads(text)


def post_image(url: str, name: str, file: Path) -> tuple[int, Any]:
    """Send an image to the model of a name, and return status and response."""
    return _ask(url, f"/api/models/{name}/image", file.read_bytes())


def _requires_the_token(url: str, folder: Path) -> None:
    elsewhere = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"  # where no server at 127.0.0.1 is reached
    url = url.replace("127.0.0.1", elsewhere)
    token = f"Bearer {(folder / 'token.txt').read_text().strip()}"
    photograph = (folder / "new/one/40.png").read_bytes()
    assert _ask(url, "/api/models")[0] == 401
    assert _ask(url, "/api/models", Host="hands.example", Authorization=token)[0] == 200
    assert _ask(url, "/api/models", Host="feet.example", Authorization=token)[0] == 421
    status, shown = _ask(url, "/api/models/digits/image?top=2", photograph, Authorization=token)
    assert status == 200
    assert shown["abstained"] in (True, False)
    assert [len(found["class_name"]) for found in shown["classes"]] == [1, 1]
    for origin, allowed in (("https://shop.example", "https://shop.example"), ("https://other.example", None)):
        connection = HTTPConnection(str(urlsplit(url).hostname), urlsplit(url).port, timeout=60)
        connection.request("GET", "/api/models", headers={"Origin": origin, "Authorization": token})
        assert connection.getresponse().headers["Access-Control-Allow-Origin"] == allowed
        connection.close()


SERVING = [
    Row("serve runs/digits --allow-origin shop.example", ["^error: the origin can't be used$", "scheme"], code=1),
    Row(
        "serve runs/digits --host 0.0.0.0 --port 0 --token-file token.txt --allow-host hands.example --abstain 0.5"
        " --allow-origin https://shop.example",
        ["^serving at "], ask=_requires_the_token,
    ),
]  # fmt: skip
