"""The official SDK, unmodified, drives the daemon: see sdk/sdk.mjs."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from harness.daemon import (
    ACCOUNT,
    EMAIL,
    KEY,
    READ_TOKEN,
    TOKEN,
    Daemon,
    configuration,
)
from harness.network import die_with_parent, use_host_network
from harness.packets import ethernet, marked, udp_ipv4

HERE = pathlib.Path(__file__).resolve().parent
SDK = HERE / "sdk"
CACHE = HERE.parents[1] / "build" / "e2e-sdk"
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


def tool(name):
    path = shutil.which(name)
    assert path, (
        f"{name} is missing: install nodejs (18 or newer) and npm, as "
        "tests/run does"
    )
    return path


@pytest.fixture(scope="module")
def modules():
    """The directory where the SDK is installed; it stays for the next run."""
    npm = tool("npm")
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


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture(scope="module")
def daemon(link, work):
    config = configuration(
        work(),
        [link.name],
        limits={"collect": {"requests": 1, "window": f"{WINDOW_S}s"}},
    )
    with Daemon(work(), config) as running:
        yield running


def test_the_official_sdk(daemon, link, modules):
    frame = ethernet(udp_ipv4(marked(1), destination_port=PORT))
    settings = {
        "baseURL": f"http://127.0.0.1:{daemon.port}/client/v4",
        "modules": str(modules),
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
    done = subprocess.run(
        [tool("node"), str(SDK / "sdk.mjs")],
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
