#!/usr/bin/env python3
"""A hub on 127.0.0.1 for tests: repositories whose files it makes up, and whatever a hub or a network may do wrong.

usage: hub_server.py     prints the ports of its two hosts, and serves until its input ends
The name of a repository says how it behaves: `acme/ranges`, `acme/broken-once`, ... (BEHAVIOURS). The second host is where
files in LFS lie; it refuses requests that bring a token. GET /requests tells what was asked for, a line each.
"""

import hashlib
import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "a" * 40
OLD_COMMIT = "b" * 40
TOKEN = "hf_secret"


def weights(length, seed=1):
    """Bytes that repeat nowhere near, and are quick to make."""
    block = b"".join(hashlib.sha256(b"%d %d" % (seed, i)).digest() for i in range(2048))
    return (block * (length // len(block) + 1))[:length]


SMALL = {
    "config.json": b'{"model_type": "test"}\n',
    "tokenizer.json": b"{}\n",
    "empty.txt": b"",
    "modeling.py": b"raise SystemExit\n",
    "sub/folder/extra.json": b"[1]\n",
    "README.md": b"read me\n",
}
LARGE = {"model.safetensors": weights(3_000_000), "model.Q8_0.gguf": weights(200_000, 2)}
FILES = SMALL | LARGE

HOSTILE = {
    "up": "../../evil.json",
    "absolute": "/tmp/evil.json",
    "backslash": "..\\evil.json",
    "nul": "a\0b.json",
    "empty": "a//b.json",
    "dot": "./a.json",
    "control": "a\x1b[2J.json",
    "direction": "a\u202enosj.json",
    "long": "a" * 300 + ".json",
    "nothing": "",
}

lock = threading.Lock()
requests = []
counts = {}


def git_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sibling(name, data, bare=False):
    entry = {"rfilename": name}
    if bare:
        return entry
    entry |= {"size": len(data), "blobId": git_id(data)}
    if name in LARGE:
        entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def count(self, what):
        with lock:
            counts[what] = counts.get(what, 0) + 1
            return counts[what]

    def note(self):
        has_token = "token" if "Authorization" in self.headers else "-"
        with lock:
            requests.append(f"{self.server.name} {self.command} {self.path} {self.headers.get('Range', '-')} {has_token}")

    def send(self, status, body=b"", headers=(), length=None):
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def break_off(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(2)

    def answer(self):
        url = urlsplit(self.path)
        path = unquote(url.path)
        if path == "/requests":
            with lock:
                return self.send(200, "".join(line + "\n" for line in requests).encode())
        if path == "/forget":
            with lock:
                requests.clear()
                counts.clear()
            return self.send(200)
        self.note()
        if found := re.fullmatch(r"/api/models/(acme/([^/]+))/revision/(.+)", path):
            return self.listing(found[2], found[3])
        if found := re.fullmatch(r"/(acme/([^/]+))/resolve/(main|[0-9a-f]{40})/(.+)", path):
            return self.resolve(found[2], found[3], found[4])
        if found := re.fullmatch(r"/lfs/([^/]+)/(.+)", path):
            return self.elsewhere(found[1], found[2])
        return self.send(404, headers=[("X-Error-Code", "RepoNotFound")])

    # What the hub says of a revision.
    def listing(self, kind, revision):
        if kind == "gated":
            return self.send(403, headers=[("X-Error-Code", "GatedRepo")])
        if kind == "private" and self.headers.get("Authorization") != "Bearer " + TOKEN:
            return self.send(401, b"x" * 1000, headers=[("X-Error-Code", "RepoNotFound")])
        if kind == "missing":
            return self.send(404, headers=[("X-Error-Code", "RepoNotFound")])
        if revision not in ("main", "v1", "refs/pr/1", COMMIT):
            return self.send(404, headers=[("X-Error-Code", "RevisionNotFound")])
        if kind == "busy-once" and self.count("busy") == 1:
            return self.send(429, headers=[("Retry-After", "1")])
        if kind == "busy-long":
            return self.send(429, headers=[("Retry-After", "86400")])
        if kind == "failing" or (kind == "failing-twice" and self.count("failing") <= 2):
            return self.send(503, b"<html>" * 100_000)
        if kind == "unchanged":
            return self.send(304)
        if kind == "no-json":
            return self.send(200, b"<html>login</html>")
        if kind == "deep":
            return self.send(200, b"[" * 1_000_000)
        if kind == "huge":
            return self.huge()
        if kind == "to-file":
            return self.send(302, headers=[("Location", "file:///etc/passwd")])
        if kind == "to-user":
            return self.send(302, headers=[("Location", f"http://a:b@127.0.0.1:{self.server.other}/x")])
        if kind == "forever":
            return self.send(302, headers=[("Location", self.path)])
        files = [sibling(name, data, kind.startswith("bare")) for name, data in FILES.items()]
        commit = COMMIT
        if kind.startswith("hostile-"):
            files.append({"rfilename": HOSTILE[kind.removeprefix("hostile-")], "size": 1, "blobId": "0" * 40})
        if kind == "twice":
            files.append(files[0])
        if kind == "file-and-folder":
            files.append({"rfilename": "config.json/a.json", "size": 1, "blobId": "0" * 40})
        if kind == "negative":
            files[0]["size"] = -1
        if kind == "large":
            files[0]["size"] = 1 << 60
        if kind == "no-space":
            files[0]["size"] = 1 << 42
        if kind == "wrong-id":
            files[0]["blobId"] = "../../x"
        if kind == "wrong-sum":
            files = [f | {"lfs": f["lfs"] | {"sha256": "0" * 64}} if "lfs" in f else f for f in files]
        if kind == "wrong-git-sum":
            files[0]["blobId"] = "0" * 40
        if kind == "wrong-commit":
            commit = "main/../x"
        if kind == "gguf":
            files = [f for f in files if f["rfilename"].endswith((".gguf", ".md"))]
        self.send(200, json.dumps({"id": "acme/" + kind, "sha": commit, "siblings": files}).encode())

    def huge(self):
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()
        try:
            while True:
                self.wfile.write(b" " * (1 << 20))
        except OSError:
            self.close_connection = True

    # A file as the hub has it: small ones itself, others at the other host.
    def resolve(self, kind, commit, name):
        if commit not in ("main", COMMIT) or name not in FILES:
            return self.send(404, headers=[("X-Error-Code", "EntryNotFound")])
        data = FILES[name]
        headers = [("X-Repo-Commit", COMMIT)]
        if name not in LARGE:
            return self.send(200, data, headers + [("ETag", f'"{git_id(data)}"')])
        sha = hashlib.sha256(data).hexdigest()
        headers += [("X-Linked-Etag", f'"{sha}"'), ("X-Linked-Size", str(len(data)))]
        if kind == "bare-odd-etag":
            headers[1] = ("X-Linked-Etag", '"../../../evil"')
        host = "127.0.0.1" if kind != "nowhere" else "host.invalid"
        location = f"http://{host}:{self.server.other}/lfs/{kind}/{name}?signature=signed"
        if kind == "relative":
            location = f"/lfs/{kind}/{name}"
        self.send(302, b"moved", headers + [("Location", location)])

    def elsewhere(self, kind, name):
        if self.server.name == "cdn" and "Authorization" in self.headers:
            return self.send(400, b"one signature is enough")
        if kind == "denied":
            return self.send(403)
        if kind == "none":
            return self.send(204)
        if kind == "beyond":
            return self.send(416)
        data = FILES[name]
        start = 0
        if found := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(found[1])
        if kind in ("no-ranges", "broken-no-ranges"):
            start = 0
        total = len(data)
        if kind == "cut":  # says so itself
            data = data[: total // 2]
        if kind == "wrong-bytes":
            data = b"\0" + data[1:]
        if kind == "other-range" and start > 0:
            return self.send(206, data[10:], [("Content-Range", f"bytes 10-{total - 1}/{total}")])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if kind != "endless":
            self.send_header("Content-Length", str(len(data) - start))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        rest = data[start:]
        if kind in ("broken-once", "broken-no-ranges", "other-range") and self.count(kind) == 1:
            self.wfile.write(rest[: len(rest) // 2])
            return self.break_off()
        if kind == "broken":
            self.wfile.write(rest[:1000])
            return self.break_off()
        if kind == "stalling" or (kind.startswith("stalling-once") and self.count(kind) == 1):
            self.wfile.write(rest[:1000])
            time.sleep(600)
        try:
            if kind in ("slow", "slow-once"):
                slow = kind == "slow" or self.count(kind) == 1
                for at in range(0, len(rest), 100_000):
                    self.wfile.write(rest[at : at + 100_000])
                    time.sleep(0.03 if slow else 0)
            else:
                self.wfile.write(rest)
            if kind == "endless":
                while True:
                    self.wfile.write(b" " * (1 << 16))
        except OSError:
            self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


def main():
    hub, cdn = (Server(("127.0.0.1", 0), Handler) for _ in range(2))
    hub.name, cdn.name = "hub", "cdn"
    hub.other, cdn.other = cdn.server_port, hub.server_port
    for server in (hub, cdn):
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    print(hub.server_port, cdn.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
