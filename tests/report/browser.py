"""A headless Chromium, driven through its DevTools pipe: no port, no package."""

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WAIT = 60.0  # seconds for one answer; a loaded machine is slow


def chromium() -> str:
    """The path of the browser; without one the test is skipped."""
    path = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, NAMES)), ""
    )
    if not path:
        pytest.skip("needs Chromium (Debian: apt-get install chromium), found none")
    return path


class Browser:
    """One browser with one tab at a time, and a record of what the tab did.

    Attributes:
      requests: addresses that the tab asked for.
      problems: console errors, exceptions, refusals by the content security policy.
      dialogs: messages of alert, confirm and prompt.
    """

    def __init__(self) -> None:
        path = chromium()
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command = [
            path, "--headless=new", "--remote-debugging-pipe", "--no-sandbox",
            "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update",
            # One process for a page and its frames: one session sees them all.
            "--disable-features=IsolateSandboxedIframes",
            f"--user-data-dir={self.profile.name}", "about:blank",
        ]  # fmt: skip
        (theirs_in, self.into), (self.out, theirs_out) = os.pipe(), os.pipe()
        # The browser reads commands on descriptor 3 and answers on 4.
        redirect = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", redirect, "bash", *command],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.buffer, self.count, self.session = b"", 0, None
        self.forget()

    def forget(self) -> None:
        """Starts the record anew."""
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.dialogs: list[str] = []
        self.worlds: dict[str, int] = {}  # frame -> where its own scripts run

    def close(self) -> None:
        """Ends the browser and removes its profile."""
        self.process.terminate()
        self.process.wait(WAIT)
        os.close(self.into)
        os.close(self.out)
        self.profile.cleanup()

    def send(self, method: str, **params: Any) -> dict:
        """Carries out one DevTools command in the tab and returns its result."""
        self.count += 1
        number = self.count
        message = {"id": number, "method": method, "params": params}
        if self.session and not method.startswith("Target."):
            message["sessionId"] = self.session
        os.write(self.into, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer}"
                return answer["result"]
            self._note(answer)

    def _read(self) -> dict:
        end = time.monotonic() + WAIT
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.out], [], [], end - time.monotonic())
            chunk = os.read(self.out, 1 << 20) if ready else b""
            assert chunk, "the browser gave no answer"
            self.buffer += chunk
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict) -> None:
        kind, params = event.get("method"), event.get("params", {})
        if kind == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif kind == "Runtime.executionContextCreated":
            context = params["context"]
            if context["auxData"].get("isDefault"):
                self.worlds[context["auxData"]["frameId"]] = context["id"]
        elif kind == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"])[:600])
        elif kind == "Runtime.consoleAPICalled" and params["type"] in (
            "error",
            "assert",
        ):
            self.problems.append(json.dumps(params["args"])[:600])
        elif kind == "Log.entryAdded":
            self.problems.append(params["entry"]["text"])
        elif kind == "Page.javascriptDialogOpening":
            self.dialogs.append(params["message"])
            self.send("Page.handleJavaScriptDialog", accept=True)

    def open(
        self,
        page: Path,
        *,
        fragment: str = "",
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        ready: str = "document.body?.dataset.drawn",
    ) -> None:
        """Opens a file in a new tab and waits until it has drawn itself."""
        self.forget()
        if self.session:
            self.send("Target.closeTarget", targetId=self.target)
        self.session = None
        self.target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send(
            "Target.attachToTarget", targetId=self.target, flatten=True
        )
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url=page.resolve().as_uri() + fragment)
        self.wait(ready)

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is awaited."""
        done = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, f"{script}: {done}"
        return done["result"].get("value")

    def run_in_frame(self, script: str) -> Any:
        """The value of an expression inside the page's first frame."""
        tree = self.send("Page.getFrameTree")["frameTree"]
        frame = tree["childFrames"][0]["frame"]["id"]
        done = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True,
            contextId=self.worlds[frame],
        )  # fmt: skip
        return done["result"].get("value")

    def wait(self, condition: str) -> None:
        """Waits until an expression is true."""
        self._wait(self.run, condition)

    def wait_in_frame(self, condition: str) -> None:
        """Waits until an expression is true inside the page's first frame."""
        self._wait(self.run_in_frame, condition)

    def _wait(self, run: Callable[[str], Any], condition: str) -> None:
        end = time.monotonic() + WAIT
        while not run(f"Boolean({condition})"):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.02)

    def choose(self, control: str, value: Any) -> None:
        """Sets a control as a user would, and waits for the new drawing."""
        self.run(
            f"""(() => {{
              const node = document.getElementById({json.dumps(control)});
              node.value = {json.dumps(str(value))};
              for (const kind of ["input", "change"])
                node.dispatchEvent(new Event(kind, {{ bubbles: true }}));
            }})()"""
        )
        self.settle()

    def settle(self) -> None:
        """Waits until what was asked for is on the screen."""
        self.run("new Promise((r) => setTimeout(() => requestAnimationFrame(r), 60))")

    def press(self, key: str) -> None:
        """Presses a key, such as ArrowRight."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key)
        self.settle()
