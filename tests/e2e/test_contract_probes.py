"""/healthz, /readyz, /metrics."""

import pytest

from harness import packets
from harness.client import Client
from harness.daemon import (
    ACCOUNT,
    OTHER_ACCOUNT,
    SECRETS,
    Daemon,
    configuration,
)
from harness.prometheus import scrape
from harness.waiting import wait_until


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture(scope="module")
def daemon(link, work):
    with Daemon(work(), configuration(work(), [link.name])) as running:
        yield running


@pytest.fixture(scope="module")
def anonymous(daemon):
    return Client(daemon.port)


def test_probes_need_no_credentials(anonymous):
    assert anonymous.get("/healthz").status == 200
    assert anonymous.get("/readyz").status == 200


def test_wrong_credentials_do_not_matter_to_probes(daemon):
    client = daemon.client("wrong")
    for probe in ("/healthz", "/readyz", "/metrics"):
        assert client.get(probe).status == 200


def test_metrics_tell_what_happened(daemon, anonymous, link):
    before = scrape(anonymous)
    api = daemon.client()
    job_id = api.create(packet_limit=5)["id"]
    api.wait_capturing(job_id)
    assert scrape(anonymous).total("edgecap_captures_active") == 1
    sent = packets.ethernet(packets.udp_ipv4(packets.marked(1)))
    for _ in range(5):
        link.send(sent)
    api.wait_success(job_id)
    api.get(api.path("0" * 32))

    def grown(name, **labels):
        now = scrape(anonymous)
        return now.total(name, **labels) - before.total(name, **labels)

    wait_until(
        "the capture's end is counted",
        lambda: grown("edgecap_captures_total", outcome="success") == 1,
    )
    assert grown("edgecap_captures_total") == 1
    assert scrape(anonymous).total("edgecap_captures_active") == 0
    assert grown("edgecap_packets_captured_total") == 5
    assert grown("edgecap_bytes_captured_total") == 5 * len(sent)
    assert grown("edgecap_packets_dropped_total") == 0
    assert grown("edgecap_http_requests_total", code="404") >= 1
    assert grown("edgecap_http_requests_total", method="POST", code="200") == 1
    assert grown("edgecap_http_request_duration_seconds_count") >= 2
    now = scrape(anonymous)
    assert now.total("edgecap_build_info") == 1
    assert now.total("edgecap_storage_bytes") > 24
    assert now.total("edgecap_storage_free_bytes") > 0
    for name in now.types:
        assert now.helps[name]


def test_labels_are_bounded(daemon, anonymous):
    """No id, account, address or path from outside becomes a label."""
    api = daemon.client()
    job_id = api.create()["id"]
    api.job(job_id)
    api.get("/nowhere-1")
    api.get("/nowhere-2")
    series = len(scrape(anonymous).samples)
    for number in range(20):
        api.get(f"/nowhere-{number}")
        api.get(api.path(f"{number:032x}"))
    assert len(scrape(anonymous).samples) == series
    text = anonymous.get("/metrics").body.decode()
    for word in (job_id, ACCOUNT, OTHER_ACCOUNT, "nowhere", *SECRETS):
        assert word not in text
