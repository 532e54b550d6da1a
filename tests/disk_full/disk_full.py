"""A full disk: sends are refused clearly, reads go on, and sends succeed again once there is space.

Runs the real server on a small file system of its own (tmpfs), so it needs root.
Usage: disk_full.py; ANSER_BIN names the server. Needs the websockets package.
"""

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import websockets

SIZE_MIB = 48
SEGMENT_BYTES = 1024 * 1024
TEXT = "满 disk " * 1000


def post(base, path, body):
    request = urllib.request.Request(base + path, json.dumps(body).encode(), {"content-type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=10))


def client_id():
    raw = bytearray(int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10))
    raw[6], raw[8] = 0x70 | raw[6] & 0x0F, 0x80 | raw[8] & 0x3F
    return base64.b64encode(bytes(raw)).decode()


class Person:
    def __init__(self, base, handle):
        body = {"handle": handle, "password": "correct horse", "name": handle, "device_name": "test"}
        self.session = post(base, "/api/v1/register", body)
        self.account, self.url, self.last = self.session["account"], base.replace("http", "ws") + "/ws", 1

    async def attach(self):
        self.socket = await websockets.connect(self.url, max_size=None)
        hello = {"versionMin": 1, "versionMax": 1, "token": self.session["access_token"], "sendOnly": True}
        await self.ask(hello=hello)
        return self

    async def ask(self, **request):
        self.last += 1
        await self.socket.send(json.dumps({"id": str(self.last), **request}))
        while True:
            frame = json.loads(await asyncio.wait_for(self.socket.recv(), 20))
            if frame.get("response", {}).get("id") == str(self.last):
                return frame["response"]

    async def send(self, to, message_id):
        message = {"kind": "text", "text": TEXT}
        return await self.ask(send={"to": {"peer": to}, "clientId": message_id, "message": message})


async def fill(alice, bob, folder):
    """Sends until the server refuses. Returns how many were acknowledged and the refused client id."""
    stat = os.statvfs(folder)
    filler = Path(folder) / "filler"
    with open(filler, "wb") as file:
        for _ in range(max(0, stat.f_bavail * stat.f_frsize - 3 * SEGMENT_BYTES) // 4096):
            file.write(bytes(4096))
    acknowledged = 0
    for _ in range(5_000):
        message_id = client_id()
        response = await alice.send(bob.account, message_id)
        if "error" in response:
            assert response["error"]["code"] == "storage_full", response
            assert int(response["error"]["retryAfterMs"]) > 0, response
            return acknowledged, message_id, filler
        acknowledged += 1
    raise AssertionError("the disk is never full")


async def scenario(base, folder):
    alice, bob = await Person(base, "alice").attach(), await Person(base, "bob").attach()
    acknowledged, refused, filler = await fill(alice, bob, folder)
    page = await bob.ask(getPage={"in": {"peer": alice.account}, "limit": 5})
    assert len(page["page"]["events"]) == 5, page
    filler.unlink()
    for attempt in range(200):
        response = await alice.send(bob.account, refused)
        if "accepted" in response:
            break
        assert response["error"]["code"] in ("storage_full", "unavailable"), response
        await asyncio.sleep(0.1)
    assert "accepted" in response, "sends succeed again once there is space"
    heads = (await bob.ask(getConversations={}))["conversationList"]["heads"]
    assert int(heads[0]["unread"]) == acknowledged + 1, (heads[0]["unread"], acknowledged)
    print(f"acknowledged {acknowledged}, then refused; accepted after {attempt + 1} tries with space again")


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", folder], check=True)
        arguments = ["serve", "--data", folder, "--listen", "127.0.0.1:0", "--registration", "open"]
        arguments += ["--segment-bytes", str(SEGMENT_BYTES)]
        server = subprocess.Popen([os.environ["ANSER_BIN"], *arguments], stdout=subprocess.PIPE, text=True)
        try:
            address = re.search(r"http://\S+", server.stdout.readline()).group()
            asyncio.run(asyncio.wait_for(scenario(address, folder), 120))
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0, "the server drains after all that"
        finally:
            server.kill()
            server.wait()
            subprocess.run(["umount", folder], check=True)


if __name__ == "__main__":
    sys.exit(main())
