"""What is removed when savefiles take too much room, and what is not."""

import pytest

from harness.client import RawConnection
from harness.daemon import (
    OTHER_ACCOUNT,
    OTHER_TOKEN,
    TOKEN,
    Daemon,
    configuration,
)
from harness.packets import ethernet, marked, udp_ipv4
from harness.waiting import wait_until

QUOTA_REACHED = 20310

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


def test_a_download_holds_its_file(link, work):
    config = configuration(
        work(),
        [{"match": link.name, "snaplen": "2KiB"}],
        limits={"packet_limit": 10000},
        storage={"pcapng": False},
        # A second for the sweep that finds it due, and two to hold it.
        retention={
            "max_jobs": 1,
            "sweep_interval": "1s",
            "download_hold": "2s",
        },
    )
    with Daemon(work(), config) as daemon:
        api = daemon.client()
        large = api.create(packet_limit=5000)["id"]
        api.wait_capturing(large)
        for _ in range(5000):
            link.send(FRAME)
        size = api.wait_success(large)["bytes_captured"]
        head = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        with RawConnection(daemon.port, 4096) as slow:
            slow.send(f"GET {api.path(large)}/download HTTP/1.1\r\n{head}".encode())
            slow.wait_for_bytes()
            others = [capture(api, link) for _ in range(2)]
            wait_until(
                "others", lambda: api.get(api.path(others[0])).status == 404
            )
            assert api.job(large)["status"] == "success", "it is the oldest"
            wait_until(
                "the end of its time",
                lambda: api.get(api.path(large)).status == 404,
            )
            assert len(slow.answer().body) > size, "what has begun goes on"
        assert [job["id"] for job in api.jobs()] == [others[1]]


def test_a_quota_refuses_and_removes_nothing(link, work):
    config = configuration(
        work(),
        [{"match": link.name, "snaplen": "2KiB"}],
        storage={"pcapng": False},
        limits={"account_size": "1MiB", "total_jobs": 3},
    )
    config["accounts"][1]["max_jobs"] = 1
    with Daemon(work(), config) as daemon:
        api = daemon.client()
        first = capture(api, link)
        second = api.create(packet_limit=PACKETS * 10)["id"]
        api.wait_capturing(second)

        def over():
            for _ in range(100):
                link.send(FRAME)
            return api.job(second)["status"] != "pending"

        wait_until("the quota", over)
        job = api.job(second)
        assert (job["status"], job["end_reason"]) == ("success", "quota")
        assert 0 < job["packets_captured"] < PACKETS * 10
        assert size_of(daemon) <= 1 << 20
        # There is still room for some packets, up to a batch of them.
        third = api.create(packet_limit=PACKETS * 10)["id"]
        refused = api.try_create()
        assert (refused.status, refused.codes) == (507, [QUOTA_REACHED])
        assert "3 captures for all accounts" in refused.text
        other = daemon.client(OTHER_TOKEN, OTHER_ACCOUNT)
        assert other.try_create().codes == [QUOTA_REACHED]
        api.delete(third)
        assert other.create()
        api.delete(second)
        refused = other.try_create()
        assert "1 captures for the account" in refused.text
        # Who runs into a quota has spent nothing of its allowance.
        assert api.create()
        assert {x["id"] for x in api.jobs()} > {first}
