"""The official SDK, unmodified, drives the daemon: see sdk/sdk.mjs."""

import pytest

from harness import sdk
from harness.daemon import Daemon, configuration


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture(scope="module")
def daemon(link, work):
    window = f"{sdk.WINDOW_S}s"
    config = configuration(
        work(),
        [link.name],
        limits={"collect": {"requests": 1, "window": window}},
    )
    with Daemon(work(), config) as running:
        yield running


def test_the_official_sdk(daemon, link):
    sdk.drive(f"http://127.0.0.1:{daemon.port}", link)
