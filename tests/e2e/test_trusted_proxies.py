"""X-Forwarded-For: believed of the proxies that are configured, else ignored.

A client's address is any of 127.0.0.0/8: each is loopback's.
"""

import pytest

from harness.daemon import Daemon, configuration, run
from harness.waiting import wait_until

PROXY = "127.0.0.2"
SECOND_PROXY = "127.0.0.3"
OTHER = "127.0.0.9"


@pytest.fixture(scope="module")
def daemon(links, work):
    config = configuration(
        work(),
        [links.veth().name],
        listen={"trusted_proxies": [PROXY, SECOND_PROXY]},
    )
    with Daemon(work(), config) as running:
        yield running


def audited_client(daemon, source, *forwarded_for):
    """The client's address as the audit log shows it."""
    before = len(daemon.events("audit"))
    api = daemon.client(source=source)
    # The library sends a header twice if it is spelt in two ways.
    headers = dict(zip(("X-Forwarded-For", "x-forwarded-for"), forwarded_for))
    target = api.path("f" * 32, "/stop")
    assert api.request("PUT", target, headers=headers).status == 404
    wait_until("an audit line", lambda: len(daemon.events("audit")) > before)
    return daemon.events("audit")[-1]["client"]


@pytest.mark.parametrize(
    "forwarded_for, client",
    [
        ([], PROXY),
        (["192.0.2.1"], "192.0.2.1"),
        (["2001:DB8:0::1"], "2001:db8::1"),
        ([f"192.0.2.1, {SECOND_PROXY}"], "192.0.2.1"),
        (["192.0.2.1", SECOND_PROXY], "192.0.2.1"),
        (["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1:80"], PROXY),
        (['192.0.2.1"}\t{"event":"audit"'], PROXY),
        (["unknown"], PROXY),
        (["192.0.2.1,"], PROXY),
    ],
)
def test_a_trusted_proxy_names_the_client(daemon, forwarded_for, client):
    assert audited_client(daemon, PROXY, *forwarded_for) == client


@pytest.mark.parametrize(
    "forwarded_for",
    [[], ["192.0.2.1"], [PROXY], ["192.0.2.1", PROXY], ["unknown"]],
)
def test_nobody_else_is_believed(daemon, forwarded_for):
    assert audited_client(daemon, OTHER, *forwarded_for) == OTHER


def test_nobody_is_trusted_unless_the_configuration_says_so(links, work):
    config = configuration(work(), [links.veth().name])
    with Daemon(work(), config) as daemon:
        assert audited_client(daemon, "127.0.0.1", "192.0.2.1") == "127.0.0.1"


def test_a_proxy_without_an_address_is_a_fault(tmp_path):
    path = tmp_path / "edgecap.yaml"
    path.write_text("listen:\n  trusted_proxies:\n    - proxy.example\n")
    done = run("--config", str(path), "--check")
    assert done.returncode == 1
    assert (
        ":3: listen.trusted_proxies[0]: 'proxy.example' is not an IPv4 or IPv6 "
        "address" in done.stderr.decode()
    )
