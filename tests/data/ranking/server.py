"""An endpoint for tests: `python server.py` prints its port and serves until killed.

The first part of a path says how it behaves. The better answer is the one that ends in
the greater number. GET /seen/NAME tells how often NAME was asked.
"""

import json
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SEEN: Counter[str] = Counter()
LOCK = threading.Lock()


def verdict(body):
    first, second = re.findall(r"<answer .>\n.*?(-?[\d.]+)\n</answer", body)
    return "[[A]]" if float(first) > float(second) else "[[B]]"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        kind = self.path.split("/")[1]
        if kind == "leak":  # where a redirect leads
            SEEN["leak"] += 1
        self.say(200, {"seen": SEEN[self.path.split("/")[-1]]})

    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        kind, request = self.path.split("/")[1], json.loads(sent)
        text = request["messages"][0]["content"]
        with LOCK:
            SEEN[kind] += 1
            SEEN[f"{kind} {text}"] += 1
            time_of_asking = SEEN[f"{kind} {text}"]
        getattr(self, f"be_{kind}")(text, time_of_asking)

    def be_good(self, text, _):
        self.reply(f"I compared. {verdict(text)}")

    def be_flaky(self, text, attempt):
        """Too many requests, a defect, junk, and at last an answer."""
        if attempt == 1:
            self.say(429, {"error": "slow down"}, {"Retry-After": "0"})
        elif attempt == 2:
            self.say(503, {"error": "overloaded"})
        elif attempt == 3:
            self.reply("Both have their merits.")
        else:
            self.reply(verdict(text))

    def be_limited(self, *_):
        self.say(429, {}, {"Retry-After": "3600"})

    def be_slow(self, *_):
        time.sleep(3)
        self.reply("[[A]]")

    def be_trickling(self, *_):
        self.send_response(200)
        self.end_headers()
        for _ in range(30):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)

    def be_broken(self, *_):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"choices": [')

    def be_silent(self, *_):
        self.close_connection = True

    def be_prose(self, *_):
        self.raw(200, b"<html>It works!</html>")

    def be_empty(self, *_):
        self.say(200, {"choices": [], "usage": [1]})

    def be_huge(self, *_):
        self.raw(200, b" " * (5 << 20))

    def be_echo(self, text, _):
        self.reply(f"You sent {self.headers['Authorization']}. {verdict(text)}")

    def be_junk(self, *_):
        self.reply(f"You sent {self.headers['Authorization']}.")

    def be_denied(self, *_):
        self.say(401, {"error": f"bad key {self.headers['Authorization']}"})

    def be_redirect(self, *_):
        self.say(302, {}, {"Location": "/leak"})

    def be_keyed(self, text, _):
        known = self.headers["Authorization"] == "Bearer right-key"
        self.reply(verdict(text)) if known else self.say(403, {})

    def reply(self, words):
        usage = {"prompt_tokens": 100, "completion_tokens": len(words.split())}
        self.say(200, {"choices": [{"message": {"content": words}}], "usage": usage})

    def say(self, status, body, headers=None):
        self.raw(status, json.dumps(body).encode(), headers)

    def raw(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Clients of the slow kinds hang up."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
