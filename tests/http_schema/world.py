"""A server of its own for the schema tests, and the people and conversations that are on it."""

import json
import os
import re
import secrets
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

PASSWORD = "a long enough password"


def client_id(now_ms=None):
    """A UUIDv7 of now."""
    now_ms = time.time_ns() // 10**6 if now_ms is None else now_ms
    number = now_ms << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def call(base, method, path, token="", body=None):
    """Asks, and returns the status and what came."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text else None


def must(answer):
    status, body = answer
    assert status < 300, (status, body)
    return body


def register(base, handle=None):
    """A new account; what registering answers, with its handle."""
    handle = handle or "t" + secrets.token_hex(6)
    person = {"handle": handle, "password": PASSWORD, "name": handle, "device_name": "test"}
    return must(call(base, "POST", "/api/v1/register", body=person)) | {"handle": handle}


class Server:
    """`anser serve` in a folder of its own, until the end of a `with`."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        serve = [os.environ["ANSER_BIN"], "serve", "--data", self.folder.name, "--listen", "127.0.0.1:0"]
        serve += ["--registration", "open", "--unlimited", "--cheap-passwords"]
        self.process = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"the server did not start: {line}"
        self.base = found[0]
        return self

    def tool(self, *arguments):
        """A command on the server's folder."""
        command = [os.environ["ANSER_BIN"], *arguments, "--data", self.folder.name]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    def key(self, scopes):
        made = json.loads(self.tool("key", "create", "--name", "test", "--scope", scopes, "--json"))
        return next(value for value in made.values() if str(value).startswith("ak_"))

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.folder.cleanup()


def populate(server):
    """People, conversations and messages: what the generated requests may name, so that some reach something."""
    base = server.base
    ann, ben, cid, dee = (register(base, handle) for handle in ("ann", "ben", "cid", "dee"))
    server.tool("user", "make-admin", ann["handle"])
    token = ann["access_token"]
    members = [ben["account"], cid["account"]]
    make = {"client_id": client_id(), "title": "鸿雁", "members": members, "history_visible": True}
    group = must(call(base, "POST", "/api/v1/conversations", token, make))
    for conversation in (group["conversation"], f"with-{ben['account']}"):
        for number in range(12):
            message = {"kind": "text", "text": f"你好 {number}"}
            body = {"client_id": client_id(), "message": message}
            sent = must(call(base, "POST", f"/api/v1/conversations/{conversation}/messages", token, body))
    synced = must(call(base, "POST", "/api/v1/sync", token, {}))
    return {
        "base": base,
        "people": {person["handle"]: person for person in (ann, ben, cid, dee)},
        "group": group["conversation"],
        "direct": sent["conversation"],
        "cursor": synced["cursor"],
        "key": server.key("accounts,tokens,messages"),
    }
