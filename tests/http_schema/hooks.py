"""What Schemathesis is told beyond the document: ids that are there, so that requests that the schema allows do
something, and tokens of their own for requests that end a token."""

import json
import os
import random
import sys

import schemathesis

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import world

WORLD = json.loads(os.environ["ANSER_WORLD"])
# Whoever is let in: "user", "key" or "nobody".
CALLER = os.environ["ANSER_CALLER"]
ENDS_TOKEN = {"signOut", "deactivate", "changePassword"}
PEOPLE = WORLD["people"]
OTHERS = [PEOPLE[name]["account"] for name in ("ben", "cid", "dee")]
chance = random.Random(7)


def some_conversation():
    return chance.choice([WORLD["group"], WORLD["direct"], "with-" + chance.choice(OTHERS)])


def new_group(token):
    body = {"client_id": world.client_id(), "title": "for once", "members": OTHERS}
    return world.must(world.call(WORLD["base"], "POST", "/api/v1/conversations", token, body))["conversation"]


def is_meant_to_be_right(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


def name_what_is_there(name, case):
    path, query, body = case.path_parameters, case.query, case.body
    token = PEOPLE["ann"]["access_token"]
    if "conversation" in path:
        in_group = name in {"addMembers", "removeMember", "setRole", "renameGroup", "setGroupAvatar", "setHistoryVisible"}
        path["conversation"] = WORLD["group"] if in_group else some_conversation()
        if name in {"leaveGroup", "dissolveGroup"} and CALLER == "user":
            path["conversation"] = new_group(token)
    if "account" in path:
        path["account"] = chance.choice(OTHERS)
    if "seq" in path:
        path["seq"] = chance.randint(1, 14)
    if "handle" in path:
        path["handle"] = chance.choice(["ben", "BEN", "nobody"])
    if query and "client_id" in query:
        query["client_id"] = world.client_id()
    if not isinstance(body, dict):
        return
    if "client_id" in body:
        body["client_id"] = world.client_id()
    if "timeline" in body:
        body["timeline"] = WORLD["cursor"]["timeline"]
    if "seq" in body:
        body["seq"] = chance.randint(0, 12)
    if body.get("members"):
        body["members"] = chance.sample(OTHERS, chance.randint(1, 3))
    if "ranges" in body:
        low = chance.randint(1, 12)
        body["ranges"] = [{"low": low, "high": min(low + chance.randint(0, 2), 12)}]
    if name == "sync" and body.get("cursor"):
        body["cursor"] = WORLD["cursor"]
    if name == "signIn":
        body |= {"handle": "dee", "password": world.PASSWORD}
    if "from" in body:
        body["from"] = chance.choice([None, *OTHERS])
    if "to" in body:
        body["to"] = chance.choice([{"account": chance.choice(OTHERS)}, {"conversation": WORLD["group"]}])
    message = body.get("message")
    if isinstance(message, dict):
        if message.get("mentions"):
            message["mentions"] = OTHERS
        if message.get("reply_to"):
            message["reply_to"] = 1


@schemathesis.hook
def before_call(context, case, kwargs):
    name = case.operation.definition.raw["operationId"]
    if name == "sync" and isinstance(case.body, dict) and isinstance(case.body.get("wait_s"), int):
        # Whatever lies within the bounds is waited for.
        case.body["wait_s"] = 0 if 0 <= case.body["wait_s"] <= 50 else case.body["wait_s"]
    if is_meant_to_be_right(case) and chance.random() < 0.7:
        name_what_is_there(name, case)
    if name in ENDS_TOKEN and isinstance(case.body, dict) and is_meant_to_be_right(case):
        case.body |= {key: world.PASSWORD for key in ("password", "old_password") if key in case.body}


if CALLER != "nobody":

    @schemathesis.auth(refresh_interval=None)
    class Caller:
        """Whoever asks. A request that ends its token has one of its own, of somebody who is there for it alone."""

        def get(self, case, context):
            if CALLER == "key":
                return WORLD["key"]
            if case.operation.definition.raw["operationId"] in ENDS_TOKEN:
                return world.register(WORLD["base"])["access_token"]
            return PEOPLE["ann"]["access_token"]

        def set(self, case, data, context):
            case.headers = dict(case.headers or {}) | {"Authorization": f"Bearer {data}"}
