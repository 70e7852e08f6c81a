"""What is removed when savefiles take too much room, and what is not."""

import pytest

from harness.daemon import Daemon, configuration
from harness.packets import ethernet, marked, udp_ipv4
from harness.waiting import wait_until

# 300 kB per job: the third or fourth exceeds the smallest limit there is.
PACKETS = 200
FRAME = ethernet(udp_ipv4(marked(1, 1400)))


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture
def daemon(link, work):
    config = configuration(
        work(),
        [{"match": link.name, "snaplen": "2KiB"}],
        storage={"pcapng": False},
        retention={"max_size": "1MiB", "sweep_interval": "1s"},
    )
    with Daemon(work(), config) as running:
        yield running


def capture(api, link):
    job_id = api.create(packet_limit=PACKETS)["id"]
    api.wait_capturing(job_id)
    for _ in range(PACKETS):
        link.send(FRAME)
    api.wait_success(job_id)
    return job_id


def size_of(daemon):
    return sum(p.stat().st_size for p in daemon.directory.rglob("*.pcap"))


def test_the_oldest_goes_first(daemon, link):
    api = daemon.client()
    running = api.create(filter_v1={"destination_port": 1})["id"]
    ids = [capture(api, link) for _ in range(6)]
    wait_until(
        lambda: f"{size_of(daemon)} bytes are left",
        lambda: size_of(daemon) <= 1 << 20,
    )
    left = [job["id"] for job in api.jobs()]
    # The newest, and the running one, which is the oldest of all.
    assert left == [*reversed(ids[-3:]), running]
    for job_id in ids[:3]:
        assert api.get(api.path(job_id)).status == 404
        assert api.get(api.path(job_id, "/download")).status == 404
    for job_id in ids[3:]:
        assert len(api.download(job_id)) > PACKETS * 1400
    assert api.job(running)["status"] == "pending"
