"""Two people talk through an Anser server, one of them with an interruption. Usage: chat.py http://HOST:PORT"""
import base64, contextlib, json, secrets, socket, sys, time, urllib.request
from websockets.sync.client import connect

def register(name):
    person = {"handle": "py-" + secrets.token_hex(6), "password": secrets.token_hex(12), "name": name, "device_name": "py"}
    call = sys.argv[1] + "/api/v1/register", json.dumps(person).encode(), {"content-type": "application/json"}
    return json.load(urllib.request.urlopen(urllib.request.Request(*call), timeout=10)) | {"name": name}

class Client:
    def __init__(self, stack, grant, cursor=None):
        self.ws = stack.enter_context(connect(sys.argv[1].replace("http", "ws", 1) + "/ws", max_size=4 << 20))
        self.grant, self.cursor, self.heads, self.events = grant, cursor or {"slots": {}}, [], []
        hello = {"versionMin": 1, "versionMax": 1, "token": grant["access_token"], "cursor": self.cursor}
        welcome = self.ask(hello=hello)["welcome"]
        assert self.cursor.setdefault("timeline", welcome["timeline"]) == welcome["timeline"]
        self.clock_offset, self.owing = int(welcome["serverTimeMs"]) - time.time_ns() // 10**6, set(welcome.get("owing", []))
        while self.owing: self.read()
    def read(self):
        frame = json.loads(self.ws.recv(timeout=10))
        response, event, sync = (frame.get(name, {}) for name in ("response", "event", "syncHeads"))
        assert "error" not in response and not frame.keys() & {"resync", "kicked", "draining"}, frame
        self.heads += sync.get("heads", [])
        self.events += [event] if event else []
        fact, slots = event or sync or response.get("accepted", {}), self.cursor["slots"]
        slot = fact.get("slot", 0)  # what is 0 is left out of the JSON
        if sync.get("done"): self.owing.discard(slot)
        if fact and slot not in self.owing:  # the cursor stands still while its slot owes heads; from then on it grows
            slots[str(slot)] = max(slots.get(str(slot), "0"), fact.get("n", "0"), key=int)
        return response
    def ask(self, **request):
        self.ws.send(json.dumps({"id": (number := str(time.monotonic_ns()))} | request))
        while (response := self.read()).get("id") != number: pass
        return response
    def hear(self, wanted):
        while not any(map(wanted, self.events)): self.read()
    def say(self, other, text):
        print(f"{self.grant['name']}: {text}")
        now = time.time_ns() // 10**6 + self.clock_offset
        uuid7 = (now << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)).to_bytes(16, "big")
        to, client_id = {"peer": other.grant["account"]}, base64.b64encode(uuid7).decode()
        return self.ask(send={"to": to, "clientId": client_id, "message": {"kind": "text", "text": text}})["accepted"]["seq"]

with contextlib.ExitStack() as stack:
    mei, tom = Client(stack, register("韩梅梅")), Client(stack, register("Tom"))
    mei.say(tom, hello := "你好！Nice to meet you 👋")
    tom.hear(lambda event: event.get("message", {}).get("text") == hello and event["author"] == mei.grant["account"])
    seq = tom.say(mei, answer := "Hello! 很高兴认识你 🎉")
    mei.hear(lambda event: event.get("message", {}).get("text") == answer and event["author"] == tom.grant["account"])
    tom.ask(readUpTo={"in": {"peer": mei.grant["account"]}, "seq": seq, "timeline": tom.cursor["timeline"]})
    tom.ws.socket.shutdown(socket.SHUT_RDWR)  # the connection is lost, without a goodbye
    for text in (missed := ["在吗？", "Are you there? 🤔", "等你回来 see you 🙂"]): last = mei.say(tom, text)
    tom = Client(stack, tom.grant, tom.cursor)
    assert [head["unread"] for head in tom.heads] == ["3"], tom.heads
    page = tom.ask(getPage={"in": {"peer": mei.grant["account"]}, "afterSeq": seq, "limit": 50})["page"]
    assert [row["message"]["text"] for row in page["events"]] == missed and not page.get("more") and not tom.events, page
    tom.ask(readUpTo={"in": {"peer": mei.grant["account"]}, "seq": last, "timeline": tom.cursor["timeline"]})
    mei.hear(lambda event: event.get("markMoved", {}).get("seq") == last and event["author"] == tom.grant["account"])
    assert [head.get("unread", "0") for head in Client(stack, tom.grant).heads] == ["0"]
    print("(Tom was away, found 3 unread, read them; 韩梅梅 saw the receipt)")
