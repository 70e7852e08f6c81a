"""What must be so whenever the daemon is ready, whatever became of the last.

- Every capture that was acknowledged is there, unless its delete was sent; none
  is there whose delete was acknowledged.
- Each is over, with a reason, or captures on, and says that it was interrupted.
- One whose stop was acknowledged is over.
- Every savefile is read by capinfos, and holds as many packets as the record
  says, none of them twice.
- The storage directory holds what the records speak of, and nothing else.
- No line of the log is an error.
"""

import collections
import json
import re
import subprocess

from clients import Connection, Entry
from harness.savefiles import read_pcap, read_pcapng
from harness.waiting import wait_until
from traffic import number_of

MAX_INTERRUPTIONS = 16
# Captures that are kept from one check to the next, at most: what is older
# has been looked at often enough.
MOST_KEPT = 150

_FILE = re.compile(r"([0-9a-f]{32})\.(pcap|pcapng)(\.part)?")


class Checker:
    """Checks a daemon against a ledger."""

    def __init__(self, victim, ledger):
        self._victim = victim
        self._ledger = ledger
        self._verified = {}  # id of a finished capture: its record
        self._log_position = 0
        self._counts = collections.Counter()
        self._reasons = collections.Counter()

    def check(self, first=False):
        """Checks all. `first`: nobody has asked for anything since the start."""
        connection = Connection(self._victim.port)
        try:
            before = self._jobs(connection)
            files = self._files()
            after = self._jobs(connection)
            self._check_presence(before)
            for job in before.values():
                self._check_record(job, first)
            self._check_files(files, before)
            self._check_savefiles(after)
            self._check_log()
            self._make_room(connection)
        finally:
            connection.close()
        self._counts["checks"] += 1

    def end_all(self):
        """Stops what runs, and waits for it."""
        connection = Connection(self._victim.port)
        for job in self._jobs(connection).values():
            if job["status"] == "pending":
                status, _ = connection.ask("PUT", f"/{job['id']}/stop")
                assert status == 204, status
                with self._ledger.lock:
                    self._ledger.entries[job["id"]].stopped = True

        def over():
            return all(
                job["status"] != "pending"
                for job in self._jobs(connection).values()
            )

        wait_until("the end of all captures", over, 30.0)
        connection.close()
        self.check()

    def summary(self):
        """What was seen."""
        parts = [f"{n} {what}" for what, n in self._counts.items()]
        parts += [f"{n} ended by {why}" for why, n in self._reasons.items()]
        return ", ".join(parts)

    # -- the records

    @staticmethod
    def _jobs(connection):
        found = {}
        page = 1
        while True:
            status, body = connection.ask("GET", f"?page={page}")
            assert status == 200, body
            jobs = json.loads(body)["result"]
            found.update({job["id"]: job for job in jobs})
            if not jobs:
                return found
            page += 1

    def _check_presence(self, jobs):
        with self._ledger.lock:
            entries = self._ledger.entries
            # Created, and killed before the client knew.
            for job_id in jobs.keys() - entries.keys():
                entries[job_id] = Entry()
                self._counts["unacknowledged"] += 1
            for job_id, entry in list(entries.items()):
                there = job_id in jobs
                assert there or entry.delete_sent, f"{job_id} is lost"
                assert not (there and entry.deleted), f"{job_id} is back"
                if not there and not entry.deleted:
                    entry.deleted = True  # without the client knowing
                    self._counts["deleted unacknowledged"] += 1

    def _check_record(self, job, first):
        entry = self._ledger.entries[job["id"]]
        known = self._verified.get(job["id"])
        assert known is None or known == job, (known, job)
        if job["status"] == "pending":
            assert not entry.over, job
            if first:
                assert not entry.stopped, job
                assert job["interruptions"], job
                self._counts["resumptions"] += 1
            return
        assert job["status"] in ("success", "failed"), job
        assert job["end_reason"] and job["finished"], job
        if entry.over:
            return
        entry.over = True
        self._reasons[job["end_reason"]] += 1
        interrupted = len(job["interruptions"])
        if interrupted:
            self._counts["interrupted captures"] += 1
        if job["end_reason"] == "shutdown":
            # Nobody asked it to end, and it has nothing else to end by.
            assert interrupted == MAX_INTERRUPTIONS + 1, job
        if job["status"] == "failed":
            assert interrupted and job["packets_captured"] == 0, job
            assert job["error_message"], job
        assert job["packets_captured"] <= job["packet_limit"], job
        for gap in job["interruptions"]:
            assert gap["to"] is None or gap["from"] <= gap["to"], job
        if job["end_reason"] == "packet_limit":
            assert job["packets_captured"] == job["packet_limit"], job

    # -- the files

    def _files(self):
        root = self._victim.directory
        files = {path.name for path in (root / "savefiles").iterdir()}
        runs = {path.name for path in (root / "jobs").iterdir()}
        return files, runs

    @staticmethod
    def _check_files(found, jobs):
        """`jobs` are those from before the look at the files."""
        files, runs = found
        for name in files:
            match = _FILE.fullmatch(name)
            assert match, f"{name} is none of ours"
            job_id, _, part = match.groups()
            assert job_id in jobs, f"{name} is of no capture"
            busy = jobs[job_id]["status"] == "pending"
            assert busy or jobs[job_id]["status"] == "success", name
            assert busy or not part, f"{name} was left behind"
        for name in runs:
            assert name in jobs, f"jobs/{name} is of no capture"
            assert jobs[name]["status"] == "pending", f"{name} was left behind"
        for job in jobs.values():
            if job["status"] == "success":
                assert {f"{job['id']}.pcap", f"{job['id']}.pcapng"} <= files, job

    def _check_savefiles(self, jobs):
        fresh = [
            job
            for job in jobs.values()
            if job["status"] == "success" and job["id"] not in self._verified
        ]
        directory = self._victim.directory / "savefiles"
        paths = [
            directory / f"{job['id']}.{kind}"
            for job in fresh
            for kind in ("pcap", "pcapng")
        ]
        counts = _count_packets(paths)
        for job in fresh:
            for kind in ("pcap", "pcapng"):
                path = directory / f"{job['id']}.{kind}"
                assert counts[path.name] == job["packets_captured"], (
                    path,
                    counts[path.name],
                    job,
                )
                self._counts["savefiles"] += 1
            self._check_packets(job, directory)
            self._counts["packets"] += job["packets_captured"]
            self._verified[job["id"]] = job

    @staticmethod
    def _check_packets(job, directory):
        path = directory / f"{job['id']}.pcap"
        records = read_pcap(path.read_bytes()).records
        assert len(records) == job["packets_captured"], job
        times = [record.time_ns for record in records]
        assert times == sorted(times), job
        by_interface = collections.Counter()
        for report in job["interfaces"]:
            by_interface[report["interface"]] += report["packets_captured"]
        assert sum(by_interface.values()) == len(records), job
        numbers = collections.defaultdict(list)
        other = read_pcapng(
            path.with_suffix(".pcapng").read_bytes(),
            interrupted=bool(job["interruptions"]),
        )
        for record in other.records:
            name = record.interface.rpartition("/")[2]
            numbers[name].append(number_of(record.data))
        for name, seen in numbers.items():
            # In the order in which they were sent, none twice.
            assert seen == sorted(set(seen)), (name, job)
            assert len(seen) == by_interface[name], (name, job)

    # -- the rest

    def _check_log(self):
        with open(self._victim.log_file, "rb") as log:
            log.seek(self._log_position)
            said = log.read()
        self._log_position += len(said)
        for line in said.decode(errors="replace").splitlines():
            assert '"level":"error"' not in line, line
        self._victim.assert_sanitizers_silent()

    def _make_room(self, connection):
        """Deletes what has been looked at, so that the checks stay short."""
        surplus = len(self._verified) - MOST_KEPT
        for job_id in list(self._verified)[: max(surplus, 0)]:
            del self._verified[job_id]
            with self._ledger.lock:
                entry = self._ledger.entries[job_id]
                entry.delete_sent = True
            status, body = connection.ask("DELETE", f"/{job_id}")
            # A client may have sent one that was killed before it was done.
            assert status in (204, 404), body
            entry.deleted = True


def _count_packets(paths):
    """How many packets capinfos finds in each file, by name."""
    if not paths:
        return {}
    done = subprocess.run(
        ["capinfos", "-T", "-r", "-M", "-c", *paths],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts = {}
    for line in done.stdout.splitlines():
        name, count = line.split("\t")
        counts[name.rpartition("/")[2]] = int(count)
    return counts
