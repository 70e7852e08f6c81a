"""200 jobs at once on one interface, which share its socket, and nothing stays
behind."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.daemon import Daemon, configuration
from harness.packets import ethernet, marked, udp_ipv4
from harness.savefiles import read_pcap
from harness.waiting import wait_until

JOBS = 200
PACKETS = 5
# More than a job takes, so that each is cut at its limit.
SENT = 8
FIRST_PORT = 10000
WARM_UP_JOBS = 10
# Above what an idle daemon has, below what it has with the first jobs.
IDLE_THREADS = 32
IDLE_DESCRIPTORS = 34
# What a heap keeps for itself, and what a sanitizer keeps in quarantine.
MEMORY_SLACK_BYTES = 16 << 20
SANITIZED_MEMORY_SLACK_BYTES = 640 << 20


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture(scope="module")
def daemon(link, work):
    config = configuration(work(), [link.name], limits={"running_jobs": JOBS})
    with Daemon(work(), config) as running:
        yield running


def frame(port, number):
    return ethernet(udp_ipv4(marked(number), destination_port=port))


def run_jobs(api, link, pool, count):
    """So many jobs at once, each gets its own packets, all are gone at the
    end."""
    ports = range(FIRST_PORT, FIRST_PORT + count)

    def create(port):
        return api.create(
            packet_limit=PACKETS, filter_v1={"destination_port": port}
        )["id"]

    ids = list(pool.map(create, ports))
    for job in pool.map(api.wait_capturing, ids):
        assert job["status"] == "pending"
    for number in range(SENT):
        for port in ports:
            link.send(frame(port, number))
        link.send(frame(FIRST_PORT - 1, number))

    def verify(port, job_id):
        job = api.wait_success(job_id, 60)
        assert job["end_reason"] == "packet_limit", job
        assert job["packets_captured"] == PACKETS, job
        assert job["interfaces"][0]["packets_captured"] == PACKETS, job
        records = read_pcap(api.download(job_id)).records
        assert [record.data for record in records] == [
            frame(port, number) for number in range(PACKETS)
        ]
        api.delete(job_id)

    list(pool.map(verify, ports, ids))
    assert api.jobs() == []


def test_200_jobs_at_once(daemon, link):
    api = daemon.client()
    with ThreadPoolExecutor(8) as pool:
        # What a process makes once is made before anything is measured.
        run_jobs(api, link, pool, WARM_UP_JOBS)
        threads, descriptors = settled(daemon)
        memory = daemon.resident_bytes()
        run_jobs(api, link, pool, JOBS)
    slack = (
        SANITIZED_MEMORY_SLACK_BYTES
        if daemon.is_sanitized()
        else MEMORY_SLACK_BYTES
    )
    wait_until(
        lambda: f"{threads} threads, {descriptors} descriptors: "
        f"{daemon.threads()}, {daemon.descriptors()}",
        lambda: daemon.threads() <= threads
        and daemon.descriptors() <= descriptors,
        30,
    )
    wait_until(
        lambda: f"memory {memory}, now {daemon.resident_bytes()}",
        lambda: daemon.resident_bytes() <= memory + slack,
        30,
    )


def settled(daemon):
    """Threads and descriptors once they are few enough for an idle daemon."""
    wait_until(
        lambda: f"rest: {daemon.threads()} threads, "
        f"{daemon.descriptors()} descriptors",
        lambda: daemon.threads() < IDLE_THREADS
        and daemon.descriptors() < IDLE_DESCRIPTORS,
        30,
    )
    return daemon.threads(), daemon.descriptors()
