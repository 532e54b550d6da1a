"""The HTTP API against its own document, by Schemathesis: all checks, at least 100 examples for each operation, with
an access token, with an API key where that is the scheme, and without either.

Usage: check.py; ANSER_BIN names the server, and runs in a Python that has schemathesis. ANSER_SEED: another seed.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import world

HERE = Path(__file__).parent
SERVER_TO_SERVER = "^/api/v1/server/"
EXAMPLES = "100"
# What it tells of one request may be a megabyte.
LINE_CHARACTERS = 2_000


def start(base, caller, filters, told, output):
    """Begins one campaign. Each has one thread: with more, Python 3.11 loses its count of what it parses."""
    program = Path(sys.executable).parent / "schemathesis"
    command = [program, "--config-file", HERE / "schemathesis.toml", "run", f"{base}/api/v1/openapi.json", *filters]
    command += ["--checks", "all", "--max-examples", EXAMPLES, "--workers", "1", "--no-color"]
    command += ["--seed", os.environ.get("ANSER_SEED", "1"), "--generation-database", "none"]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(HERE),
        "ANSER_WORLD": json.dumps(told),
        "ANSER_CALLER": caller,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    return subprocess.Popen(command, env=environment, cwd=HERE, stdout=output, stderr=subprocess.STDOUT)


def main():
    campaigns = [
        ("user", ["--exclude-path-regex", SERVER_TO_SERVER]),
        ("key", ["--include-path-regex", SERVER_TO_SERVER]),
        ("nobody", []),
    ]
    with world.Server() as server, tempfile.TemporaryDirectory() as folder:
        told = world.populate(server)
        # Access tokens are good for 15 minutes: longer than this takes.
        running = []
        for caller, filters in campaigns:
            output = Path(folder, caller)
            running.append((caller, output, start(server.base, caller, filters, told, output.open("wb"))))
        good = True
        for caller, output, process in running:
            passed = process.wait() == 0
            good &= passed
            lines = output.read_text(errors="replace").splitlines()
            summary = max((at for at, line in enumerate(lines) if "= SUMMARY =" in line), default=0)
            print(f"--- {caller}: {'passed' if passed else 'FAILED'}")
            for line in lines[summary if passed else 0 :]:
                print(line[:LINE_CHARACTERS])
        if server.process.poll() is not None:
            sys.exit("the server ended")
    sys.exit(0 if good else 1)


main()
