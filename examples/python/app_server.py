"""An application server: brings 1,000 accounts along, gets tokens, and speaks as the system.
Usage: ANSER_KEY=ak_… app_server.py http://HOST:PORT; the key has the scopes accounts, tokens and messages."""
import json, os, secrets, sys, time, urllib.request

BASE, KEY, RUN = sys.argv[1], os.environ["ANSER_KEY"], secrets.token_hex(3)

def call(method, path, token=KEY, **body):
    headers = {"content-type": "application/json", "authorization": "Bearer " + token}
    request = urllib.request.Request(BASE + "/api/v1" + path, json.dumps(body).encode() if body else None, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or "null")

def client_id():  # a UUIDv7: asked again, the same request has no second effect
    now = time.time_ns() // 10**6
    digits = f"{now << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

# Accounts: all at once; asked again, they are known.
people = [{"handle": f"u{RUN}-{number}", "name": f"Person {number}"} for number in range(1_000)]
made = call("POST", "/server/accounts", accounts=people)["accounts"]
assert [one["outcome"] for one in made] == ["made"] * 1_000, made[:3]
known = call("POST", "/server/accounts", accounts=people)["accounts"]
assert [one["outcome"] for one in known] == ["known"] * 1_000 and known[7]["account"] == made[7]["account"]
accounts = [one["account"] for one in made]
print(f"1,000 accounts, {accounts[0]} to {accounts[-1]}")

# Tokens: what the application hands to its own users' clients.
tokens = [call("POST", f"/server/accounts/{account}/tokens", device_key="app", device_name="App") for account in accounts[:10]]
again = call("POST", f"/server/accounts/{accounts[0]}/tokens", device_key="app", device_name="App")
assert again["device"] == tokens[0]["device"], "the same key is the same device"
mine = again["access_token"]
assert call("GET", "/profile", token=mine)["handle"] == people[0]["handle"]

# Messages: from the system to everybody of the first hundred, and into a group that it is no member of.
for account in accounts[:100]:
    sent = call("POST", "/server/messages", client_id=client_id(), to={"account": account}, message={"kind": "text", "text": "Welcome! 欢迎!"})
group = call("POST", "/server/groups", client_id=client_id(), title="Everybody", **{"from": accounts[0]}, members=accounts[1:100])
say = {"client_id": client_id(), "to": {"conversation": group["conversation"]}, "message": {"kind": "text", "text": "Hello, group"}}
first, second = (call("POST", "/server/messages", **say) for _ in range(2))
assert (first["seq"], first["duplicate"]) == (second["seq"], False) and second["duplicate"]

# What a client sees, without a socket: a sync, then a long poll that ends with the next message.
synced = call("POST", "/sync", token=mine, wait_s=0)
assert {head["conversation"] for head in synced["conversations"]} >= {group["conversation"]}
call("POST", "/server/messages", client_id=client_id(), to={"account": accounts[0]}, message={"kind": "custom", "text": "Order shipped", "body": {"order": 17}})
after = call("POST", "/sync", token=mine, cursor=synced["cursor"], wait_s=20)
latest = [head["last_message"]["change"]["message"] for head in after["conversations"] if "last_message" in head]
assert any(message.get("body") == {"order": 17} for message in latest), after
call("POST", f"/server/accounts/{accounts[-1]}/deactivate")
assert call("GET", f"/server/accounts/{accounts[-1]}")["deactivated"]
print("messages from the system, a group, a sync: all as said")
