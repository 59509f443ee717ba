"""A judge's endpoint as a process of its own, for tests that talk HTTP."""

import contextlib
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

SERVER = Path(__file__).with_name("server.py")


class Serving:
    """The running server."""

    def __init__(self, port):
        self.root = f"http://127.0.0.1:{port}"

    def url(self, kind):
        return f"{self.root}/{kind}/v1"

    def seen(self, kind):
        with urllib.request.urlopen(f"{self.root}/seen/{kind}") as response:
            return json.load(response)["seen"]


@contextlib.contextmanager
def serving():
    process = subprocess.Popen(
        [sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield Serving(int(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()
