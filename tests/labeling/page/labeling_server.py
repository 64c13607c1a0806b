"""`saccade label --page` in a process of its own, as users start it, and requests to it."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request


class LabelingServer:
    """A running `saccade label ... --page`.

    Args:
        words: arguments of the command.
        folder: working directory.
    """

    def __init__(self, words, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "saccade", "label", *words, "--page"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[str] = []
        found = threading.Event()

        def read():
            assert self.process.stderr
            for line in self.process.stderr:
                self.lines.append(line)
                if line.startswith("label at "):
                    found.set()
            found.set()

        self._reader = threading.Thread(target=read)
        self._reader.start()
        assert found.wait(120)
        match = re.search(r"label at (http://127\.0\.0\.1:\d+)/#(\S+)", "".join(self.lines))
        assert match, "".join(self.lines)
        self.url, self.token = match.groups()
        self.address = f"{self.url}/#{self.token}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """Kill the process, without a chance to write anything."""
        self.process.kill()
        self.process.communicate()
        self._reader.join()

    def stop(self):
        """End the process by a signal, as Ctrl-C does; return its exit code and standard output."""
        assert self.process.stdout
        self.process.send_signal(signal.SIGINT)
        # Standard error is read by the thread.
        stdout = self.process.stdout.read()
        code = self.process.wait(60)
        self._reader.join()
        self.process.stdout.close()
        return code, stdout

    def request(self, path, body=None, headers=None, token=None):
        """Return status and body of a response to a request with bytes, or without for GET."""
        authorization = {"Authorization": f"Bearer {self.token if token is None else token}"}
        request = urllib.request.Request(self.url + path, body, {**authorization, **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def post(self, path, client="a", person="Ada", status=200, **message):
        """Send a message of a person, and return the JSON of the response."""
        body = json.dumps({"client": client, "person": person, **message}).encode()
        found, content = self.request(path, body)
        assert found == status, content
        return json.loads(content)

    def get(self, path):
        """Return the JSON of the response to a GET request."""
        status, content = self.request(path)
        assert status == 200, content
        return json.loads(content)

    def questions(self, client="a", person="Ada", count=1, skipped=()):
        """Return the next questions; wait for the model if there are none."""
        for _ in range(600):
            content = self.post("/api/next", client, person, count=count, skipped=list(skipped))
            if content["questions"] or content["state"]["phase"] == "done" or content["state"]["problem"]:
                return content["questions"]
            time.sleep(0.05)
        raise AssertionError(content)

    def answer(self, question, label, client="a", person="Ada", **more):
        """Answer a question, with a class that may be new; return its number, or None if it was closed."""
        if label not in ("?", "-"):
            self.post("/api/classes", client, person, name=label)
        message = {"client": client, "person": person, "question": question["question"], "label": label, **more}
        status, content = self.request("/api/answers", json.dumps(message).encode())
        if status == 409 and "this answer was not recorded" in json.loads(content)["error"]:
            return None
        assert status == 200, content
        return json.loads(content)["answer"]
