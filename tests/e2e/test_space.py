"""A disk that is full, an index that cannot be written, a directory that is
gone: what is refused meanwhile, what is served, and that nobody has to restart
anything afterwards."""

import shutil

import pytest

from harness.daemon import Daemon, configuration
from harness.daemon import running as running_daemons
from harness.disks import MIB, Disk, Immutable
from harness.packets import ethernet, marked, udp_ipv4
from harness.prometheus import scrape
from harness.savefiles import read_pcap
from harness.waiting import wait_until

STORAGE_UNAVAILABLE = 20304
STORAGE_FULL = 20305
FRAME = ethernet(udp_ipv4(marked(1, 1400)))


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture(scope="module")
def other_link(links):
    return links.veth()


@pytest.fixture
def start(link, other_link, work):
    """Starts a daemon whose directory is at this place; two interfaces, so
    that what is captured must be merged."""
    daemons = []

    def started(directory, **storage):
        interfaces = [
            {"match": x.name, "snaplen": "2KiB"} for x in (link, other_link)
        ]
        config = configuration(
            directory,
            interfaces,
            storage={"min_free": "1MiB", "reserve": "8MiB", **storage},
        )
        daemons.append(Daemon(work(), config))
        return daemons[-1].start()

    yield started
    # A test stops its daemon before its disk goes; one that failed has not.
    for daemon in daemons:
        if daemon in running_daemons:
            daemon.kill()


def ready(api):
    """What /readyz says of the storage."""
    answer = api.get("/readyz")
    assert answer.status == 200, answer.body
    return answer.result["storage"]


def capture(api, link, other_link, packets=50):
    """A capture of so many packets on each interface, that runs on."""
    job_id = api.create()["id"]
    api.wait_capturing(job_id)
    for _ in range(packets):
        link.send(FRAME)
        other_link.send(FRAME)
    api.wait_captured(job_id, 2 * packets)
    return job_id


def records(api, job_id):
    return len(read_pcap(api.download(job_id)).records)


def end_by_traffic(api, job_id, link):
    """Sends until the capture ends: only packets show that they do not fit."""

    def over():
        for _ in range(100):
            link.send(FRAME)
        job = api.job(job_id)
        return job if job["status"] != "pending" else None

    return wait_until(f"an end of {job_id}", over, 30.0)


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_disk_without_a_free_byte(kind, start, link, other_link, work):
    place = work()
    with Disk(place / "disk", 64 * MIB, kind, place / "image") as disk:
        daemon = start(disk.path / "captures")
        api = daemon.client()
        finished = capture(api, link, other_link)
        api.stop(finished)
        api.wait_success(finished)
        running = capture(api, link, other_link)
        assert ready(api)["status"] == "ok"
        disk.fill()

        job = end_by_traffic(api, running, link)
        # What came in time is kept, though its merge needs space.
        assert job["status"] == "success", job
        assert job["end_reason"] == "storage_full"
        assert 100 <= job["packets_captured"] == records(api, running)
        assert sum(x["dropped_by_us"] for x in job["interfaces"]) > 0
        # Whoever fills the disk takes what the merge did not need.
        disk.fill()
        for _ in range(3):
            refused = api.try_create()
            assert (refused.status, refused.codes) == (507, [STORAGE_FULL])
        assert ready(api)["status"] == "full"
        now = scrape(api)
        assert now.total("edgecap_storage_full") == 1
        assert now.total("edgecap_storage_refused_total") == 3
        assert {job["id"] for job in api.jobs()} == {finished, running}
        assert records(api, finished) == 100
        api.delete(finished)
        assert [job["id"] for job in api.jobs()] == [running]

        disk.empty()
        wait_until("room", lambda: api.try_create().status == 200)
        assert ready(api)["status"] == "ok"
        assert records(api, running) == job["packets_captured"]
        daemon.stop()


def test_a_disk_that_captures_fill(start, link, other_link, work):
    with Disk(work() / "disk", 64 * MIB) as disk:
        # 64 less the reserve and the floor leaves 12 MiB, of which the log of
        # the index takes up to 4.
        daemon = start(disk.path / "captures", min_free="44MiB")
        api = daemon.client()
        first = capture(api, link, other_link)
        second = capture(api, link, other_link)
        ends = [end_by_traffic(api, x, link) for x in (first, second)]
        for job in ends:
            assert job["status"] == "success", job
            assert job["end_reason"] == "storage_full"
            assert "pcapng" in job["error_message"]
            assert records(api, job["id"]) == job["packets_captured"] >= 100
        assert disk.free_bytes() >= 42 * MIB, "the floor is kept, to a batch"
        # What is left is less than a batch, and may do for the next capture.
        disk.take(MIB)
        wait_until(
            "the floor", lambda: api.try_create().codes == [STORAGE_FULL]
        )
        for other in api.jobs("?status=pending"):
            end_by_traffic(api, other["id"], link)
        disk.empty()
        for ended in api.jobs():
            api.delete(ended["id"])
        wait_until("room", lambda: api.try_create().status == 200)
        daemon.stop()


def test_an_index_that_cannot_be_written(start, link, other_link, work):
    place = work()
    with Disk(place / "disk", 64 * MIB, "ext4", place / "image") as disk:
        daemon = start(disk.path / "captures")
        api = daemon.client()
        finished = capture(api, link, other_link)
        api.stop(finished)
        api.wait_success(finished)
        running = capture(api, link, other_link)
        index = daemon.directory / "index.sqlite"
        with Immutable(index, f"{index}-wal"):
            refused = api.try_create()
            assert (refused.status, refused.codes) == (
                503,
                [STORAGE_UNAVAILABLE],
            )
            assert refused.header("Retry-After")
            assert api.job(finished)["status"] == "success"
            assert records(api, finished) == 100
            assert len(api.jobs()) == 2
            assert api.request("DELETE", api.path(finished)).status == 503
            api.job(running)
        wait_until("it can", lambda: api.try_create().status == 200)
        api.stop(running)
        api.wait_success(running)
        assert records(api, running) == 100
        api.delete(finished)
        daemon.stop()


def test_a_directory_that_is_removed(start, link, other_link, work):
    with Disk(work() / "disk", 64 * MIB) as disk:
        daemon = start(disk.path / "captures")
        api = daemon.client()
        finished = capture(api, link, other_link)
        api.stop(finished)
        api.wait_success(finished)
        running = capture(api, link, other_link)
        shutil.rmtree(daemon.directory)

        refused = api.try_create()
        assert (refused.status, refused.codes) == (503, [STORAGE_UNAVAILABLE])
        assert "removed" in refused.text
        assert api.get("/readyz").status == 503
        assert {job["id"] for job in api.jobs()} == {finished, running}

        wait_until("it is anew", lambda: api.get("/readyz").status == 200)
        new = capture(api, link, other_link)
        gone = api.job(finished)
        assert gone["status"] == "failed"
        assert "is missing" in gone["error_message"]
        ended = end_by_traffic(api, running, link)
        assert ended["status"] == "failed", ended
        assert ended["end_reason"] == "storage_error"
        api.stop(new)
        api.wait_success(new)
        assert records(api, new) >= 100
        assert daemon.events("storage-lost")
        daemon.stop()

        # What was made anew is what the next process finds.
        daemon.start()
        assert api.job(new)["status"] == "success"
        assert records(api, new) >= 100
        for job_id in (finished, running):
            assert api.job(job_id)["status"] == "failed"
        assert "removed" in api.job(running)["error_message"]
        daemon.stop()


def test_a_directory_that_is_not_mounted(start, link, other_link, work):
    place = work() / "disk"
    with Disk(place, 64 * MIB) as disk:
        daemon = start(disk.path / "captures")
        api = daemon.client()
        finished = capture(api, link, other_link)
        api.stop(finished)
        api.wait_success(finished)
        with Disk(place, MIB):
            assert api.try_create().codes == [STORAGE_UNAVAILABLE]
            wait_until(
                "a second look", lambda: daemon.events("storage-not-renewed")
            )
            assert api.try_create().codes == [STORAGE_UNAVAILABLE]
            assert not daemon.directory.exists(), "it belongs elsewhere"
        wait_until("it is back", lambda: api.try_create().status == 200)
        assert records(api, finished) == 100
        daemon.stop()
