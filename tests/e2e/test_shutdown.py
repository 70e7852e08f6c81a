"""The end of the process, in order and by force, and what the next one finds.
"""

import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import network
from harness.daemon import (
    STOP_TIMEOUT_S,
    Daemon,
    configuration,
    run,
)
from harness.packets import ethernet, marked, udp_ipv4
from harness.savefiles import read_pcap, read_pcapng
from harness.waiting import wait_until

PORT = 40053
FILTER = {"destination_port": PORT}


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture
def daemon(link, work):
    """Not started yet."""
    return Daemon(work(), configuration(work(), [link.name]))


def frame(number):
    return ethernet(udp_ipv4(marked(number), destination_port=PORT))


def number_of(data):
    """The number of a frame that `frame` made; checks every byte."""
    number = int.from_bytes(data[46:50], "big")
    assert data == frame(number)
    return number


def assert_whole(api, job, directory):
    """The job is over, and its file, if any, is one that tcpdump reads."""
    assert job["status"] in ("success", "failed"), job
    assert job["end_reason"], job
    assert job["packets_remaining"] == 0, job
    assert job["finished"] >= job["submitted"], job
    answer = api.get(api.path(job["id"], "/download"))
    if job["status"] == "failed":
        assert answer.status == 404
        return []
    assert answer.status == 200
    path = directory / "file.pcap"
    path.write_bytes(answer.body)
    done = subprocess.run(
        ["tcpdump", "-nn", "-r", path],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    numbers = [number_of(r.data) for r in read_pcap(answer.body).records]
    assert len(done.stdout.splitlines()) == len(numbers)
    assert job["packets_captured"] == len(numbers)
    assert numbers == sorted(set(numbers))
    other = read_pcapng(
        api.download(job["id"], "?format=pcapng"),
        interrupted=bool(job["interruptions"]),
    )
    assert [number_of(r.data) for r in other.records] == numbers
    return numbers


def assert_nothing_stray(daemon):
    """No file half written, no run of a job that is over, in the directory."""
    daemon.wait_inspected()
    names = [
        str(path.relative_to(daemon.directory))
        for path in daemon.directory.rglob("*")
    ]
    assert not [name for name in names if ".part" in name], names
    assert not [name for name in names if "run-" in name], names


# -- in order -----------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_seals_what_was_captured(daemon, link, tmp_path, number):
    daemon.start()
    api = daemon.client()
    # With packets, without, done, stopped at the last moment.
    done = api.create(filter_v1=FILTER, packet_limit=1)["id"]
    api.wait_capturing(done)
    link.send(frame(0))
    api.wait_success(done)
    some = [api.create(filter_v1=FILTER)["id"] for _ in range(5)]
    empty = api.create(filter_v1={"destination_port": 1})["id"]
    for job_id in (*some, empty):
        api.wait_capturing(job_id)
    for i in range(50):
        link.send(frame(i))
    api.wait_captured(some[0], 50)
    api.stop(some[0])
    for job_id in some[1:]:
        api.wait_captured(job_id, 50)
    began = time.monotonic()
    daemon.stop(number)
    assert time.monotonic() - began < STOP_TIMEOUT_S
    assert_nothing_stray(daemon)

    with daemon:
        jobs = {job["id"]: job for job in api.jobs()}
        assert set(jobs) == {done, empty, *some}
        assert jobs[done]["end_reason"] == "packet_limit"
        assert jobs[some[0]]["end_reason"] in ("stopped", "shutdown")
        for job_id in some:
            assert jobs[job_id]["status"] == "success", jobs[job_id]
            assert assert_whole(api, jobs[job_id], tmp_path) == [*range(50)]
        for job_id in (*some[1:], empty):
            assert jobs[job_id]["end_reason"] == "shutdown"
        assert jobs[empty]["status"] == "failed"
        assert jobs[empty]["error_message"]
        assert_whole(api, jobs[empty], tmp_path)
        assert_whole(api, jobs[done], tmp_path)


def test_a_second_signal_does_not_hurry(daemon, link):
    daemon.start()
    api = daemon.client()
    for _ in range(3):
        api.wait_capturing(api.create(filter_v1=FILTER)["id"])
    link.send(frame(1))
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGINT)
    daemon.wait_exit()


def test_a_signal_under_traffic_ends_in_time(daemon, link):
    """Packets keep coming, clients keep asking."""
    daemon.start()
    api = daemon.client()
    for _ in range(5):
        api.wait_capturing(api.create(filter_v1=FILTER)["id"])
    enough = threading.Event()

    def keep_sending():
        while not enough.is_set():
            link.send(frame(1))

    def keep_asking():
        while not enough.is_set():
            try:
                assert api.get(api.base).status in (200, 503)
            except OSError:
                if daemon.process.poll() is not None:
                    return

    threads = [
        threading.Thread(target=target)
        for target in (keep_sending, keep_asking, keep_asking)
    ]
    for thread in threads:
        thread.start()
    try:
        api.wait_captured(api.jobs()[0]["id"], 100)
        daemon.stop()
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def test_idle_and_half_sent_connections_do_not_keep_it(daemon):
    daemon.start()
    sockets = [
        socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(20)
    ]
    for s in sockets[:10]:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
    daemon.client().get("/healthz")
    daemon.stop()
    for s in sockets:
        s.close()


def test_what_was_there_before_is_there_after(daemon, link, tmp_path):
    """Restarts in order lose and change nothing."""
    daemon.start()
    api = daemon.client()
    ids = []
    for count in (0, 1, 7):
        ids.append(api.create(filter_v1=FILTER)["id"])
        api.wait_capturing(ids[-1])
        for i in range(count):
            link.send(frame(i))
        api.wait_captured(ids[-1], count)
        api.stop(ids[-1])
        api.wait_success(ids[-1])
    before = api.jobs(), [api.download(job_id) for job_id in ids]
    etag = api.get(api.path(ids[0], "/download")).header("ETag")
    for _ in range(2):
        daemon.stop()
        daemon.start()
        assert (api.jobs(), [api.download(job_id) for job_id in ids]) == before
        answer = api.get(api.path(ids[0], "/download"), If_None_Match=etag)
        assert answer.status == 304
    daemon.stop()


# -- by force -----------------------------------------------------------------


def test_kill_interrupts_a_capture(daemon, link, tmp_path):
    daemon.start()
    api = daemon.client()
    made = api.create(filter_v1=FILTER, packet_limit=700)
    empty = api.create(filter_v1={"destination_port": 1})["id"]
    api.wait_capturing(made["id"])
    api.wait_capturing(empty)
    for i in range(500):
        link.send(frame(i))
    before = api.wait_captured(made["id"], 500)
    daemon.kill()
    with daemon:
        # Counted means stored: nothing of it is lost with the process.
        job = api.job(made["id"])
        assert job["status"] == "pending"
        assert job["packets_captured"] == 500
        assert job["submitted"] == before["submitted"]
        assert job["started"] == before["started"]

        def goes_on():
            (gap,) = api.job(made["id"])["interruptions"]
            return gap["to"] and gap

        gap = wait_until("capturing to go on", goes_on)
        assert before["started"] <= gap["from"] < gap["to"]
        old, new = api.job(made["id"])["interfaces"]
        assert (old["interface"], new["interface"]) == (link.name, link.name)
        assert old["state"] == "failed" and "interrupted" in old["error"]
        assert old["packets_captured"] == 500
        assert old["packets_matched"] is None
        assert old["dropped_by_kernel"] is None
        for i in range(500, 800):
            link.send(frame(i))
        job = api.wait_success(made["id"])
        # The limit holds for both lives together.
        assert job["end_reason"] == "packet_limit"
        assert job["interfaces"][1]["packets_captured"] == 200
        assert job["interfaces"][1]["packets_matched"] >= 200
        assert "error_message" not in job
        assert job["interruptions"] == [gap]
        assert assert_whole(api, job, tmp_path) == [*range(700)]
        api.stop(empty)
        job = api.wait_success(empty)
        assert job["end_reason"] == "stopped"
        assert len(job["interruptions"]) == 1
        assert_nothing_stray(daemon)


def test_a_stop_survives_a_kill(daemon, link, tmp_path):
    daemon.start()
    api = daemon.client()
    for attempt in range(5):
        made = api.create(filter_v1=FILTER)
        api.wait_capturing(made["id"])
        link.send(frame(attempt))
        api.wait_captured(made["id"], 1)
        api.stop(made["id"])
        daemon.kill()
        daemon.start()
        job = api.job(made["id"])
        assert (job["status"], job["end_reason"]) == ("success", "stopped")
        assert assert_whole(api, job, tmp_path) == [attempt]
        assert_nothing_stray(daemon)
    daemon.stop()


def test_time_goes_on_while_the_process_is_gone(daemon, link, tmp_path):
    daemon.start()
    api = daemon.client()
    some = api.create(filter_v1=FILTER, time_limit=1)
    none = api.create(filter_v1={"destination_port": 1}, time_limit=1)
    for made in (some, none):
        api.wait_capturing(made["id"])
    link.send(frame(1))
    api.wait_captured(some["id"], 1)
    daemon.kill()
    # What is waited for is the clock.
    ended = time.time() + 1.0
    wait_until("the end of their time", lambda: time.time() >= ended)
    with daemon:
        job = api.job(some["id"])
        assert (job["status"], job["end_reason"]) == ("success", "time_limit")
        assert "ended unexpectedly" in job["error_message"]
        assert job["interruptions"][0]["to"] is None
        assert assert_whole(api, job, tmp_path) == [1]
        job = api.job(none["id"])
        # Nothing matched, but for how long did anybody look?
        assert (job["status"], job["end_reason"]) == ("failed", "time_limit")
        assert "no packet" in job["error_message"]


def test_a_restart_gives_no_second_minute(link, work):
    config = configuration(
        work(),
        [link.name],
        limits={"collect": {"requests": 1, "window": "1m"}},
    )
    daemon = Daemon(work(), config).start()
    api = daemon.client()
    api.delete(api.create()["id"])
    for end in (daemon.kill, daemon.stop):
        end()
        daemon.start()
        answer = api.try_create()
        assert answer.status == 429, answer.body
        assert 0 < int(answer.header("Retry-After")) <= 60
    daemon.stop()


def test_a_savefile_that_is_cut_is_not_served(daemon, link, tmp_path):
    with daemon:
        api = daemon.client()
        job_id = api.create(filter_v1=FILTER, packet_limit=3)["id"]
        api.wait_capturing(job_id)
        for i in range(3):
            link.send(frame(i))
        job = api.wait_success(job_id)
        assert assert_whole(api, job, tmp_path) == [0, 1, 2]
        path = next(daemon.directory.rglob(f"{job_id}.pcap"))
        with open(path, "r+b") as savefile:
            savefile.truncate(100)
        answer = api.get(api.path(job_id, "/download"))
        assert answer.status == 404, answer.body
        assert "has 100 bytes instead of" in answer.text
        job = api.job(job_id)
        assert (job["status"], job["end_reason"]) == ("failed", "storage_error")
        assert "has 100 bytes instead of" in job["error_message"]
        assert job in api.jobs()


def test_leftovers_of_a_crash_are_removed(daemon, link, tmp_path):
    daemon.start()
    api = daemon.client()
    job_id = api.create(filter_v1=FILTER, packet_limit=3)["id"]
    api.wait_capturing(job_id)
    for i in range(3):
        link.send(frame(i))
    api.wait_success(job_id)
    daemon.kill()
    whole = next(daemon.directory.rglob(f"{job_id}.pcap"))
    half = whole.with_name("a" * 32 + ".pcap.part")
    half.write_bytes(whole.read_bytes()[:50])
    with daemon:
        assert_whole(api, api.job(job_id), tmp_path)
        daemon.wait_inspected()
        assert not half.exists()
        answer = api.get(api.path("a" * 32, "/download"))
        assert answer.status == 404


# -- two at once --------------------------------------------------------------


def test_a_second_daemon_is_refused_the_directory(daemon, link, work):
    with daemon:
        other = work()
        second = Daemon(other, configuration(daemon.directory, [link.name]))
        done = run("--config", str(second.config_file))
        assert done.returncode == 1
        said = done.stderr.decode()
        assert str(daemon.directory) in said
        assert "another" in said or "in use" in said
        # The first one has not suffered.
        api = daemon.client()
        job_id = api.create()["id"]
        api.wait_capturing(job_id)
        api.stop(job_id)
        api.wait_success(job_id)


def test_a_second_daemon_is_refused_the_port(daemon, link, work):
    with daemon:
        config = configuration(
            work(), [link.name], listen={"port": daemon.port}
        )
        second = Daemon(work(), config)
        done = run("--config", str(second.config_file))
        assert done.returncode == 1
        said = done.stderr.decode()
        assert str(daemon.port) in said
        assert "Address already in use" in said
        assert daemon.client().get("/readyz").status == 200


def test_the_interface_may_be_gone_at_the_next_start(work):
    """A daemon says so instead of serving what it cannot do."""
    gone = network.Veth("gone")
    daemon = Daemon(work(), configuration(work(), [gone.name]))
    with daemon:
        pass
    gone.close()
    done = run("--config", str(daemon.config_file))
    assert done.returncode == 1
    assert gone.name in done.stderr.decode()


def test_the_directory_is_free_again_after_a_kill(daemon):
    daemon.start()
    daemon.kill()
    daemon.start()
    wait_until("ready", lambda: daemon.client().get("/readyz").status == 200)
    daemon.stop()
