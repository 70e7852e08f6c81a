"""The official SDK, unmodified, against a daemon: see ../sdk/sdk.mjs."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

from harness.daemon import ACCOUNT, EMAIL, KEY, READ_TOKEN, TOKEN
from harness.network import die_with_parent, use_host_network
from harness.packets import ethernet, marked, udp_ipv4

E2E = pathlib.Path(__file__).resolve().parents[1]
SDK = E2E / "sdk"
CACHE = E2E.parents[1] / "build" / "e2e-sdk"
# The program waits for it now and then: limits.collect must be one in this.
WINDOW_S = 2
PORT = 40053

# Sends so many packets into an interface; runs in the tests' namespace.
SENDER = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind((sys.argv[1], 0))
for _ in range(int(sys.argv[3])):
    s.send(bytes.fromhex(sys.argv[2]))
"""


def _tool(name):
    path = shutil.which(name)
    assert path, (
        f"{name} is missing: install nodejs (18 or newer) and npm, as "
        "tests/run does"
    )
    return path


def install():
    """The directory where the SDK is installed; it stays for the next run."""
    npm = _tool("npm")
    wanted = json.loads((SDK / "package.json").read_text())["dependencies"]
    installed = CACHE / "node_modules" / "cloudflare" / "package.json"
    if (
        not installed.exists()
        or json.loads(installed.read_text())["version"] != wanted["cloudflare"]
    ):
        CACHE.mkdir(parents=True, exist_ok=True)
        shutil.copy(SDK / "package.json", CACHE)
        done = subprocess.run(
            [npm, "install", "--no-package-lock", "--no-audit", "--no-fund"],
            cwd=CACHE,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            preexec_fn=use_host_network,
        )
        assert done.returncode == 0, f"npm install fails:\n{done.stderr}"
    return CACHE


def drive(base_url, link, **variables):
    """Has the SDK do all it can at `base_url`, with these variables in its
    environment; the daemon captures on `link`."""
    frame = ethernet(udp_ipv4(marked(1), destination_port=PORT))
    settings = {
        "baseURL": f"{base_url}/client/v4",
        "modules": str(install()),
        "account": ACCOUNT,
        "token": TOKEN,
        "readToken": READ_TOKEN,
        "email": EMAIL,
        "key": KEY,
        "port": PORT,
        "windowSeconds": WINDOW_S,
        "sender": [sys.executable, "-c", SENDER, link.name + "p", frame.hex()],
    }
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CLOUDFLARE_")
    }
    environment["SDK_SETTINGS"] = json.dumps(settings)
    environment.update(variables)
    done = subprocess.run(
        [_tool("node"), str(SDK / "sdk.mjs")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=die_with_parent,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok: ") == len(done.stdout.splitlines()) > 5
