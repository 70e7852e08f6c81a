"""Clients that never rest, and the book of what they were told."""

import collections
import http.client
import json
import random
import threading
from dataclasses import dataclass, field

from harness.daemon import ACCOUNT, TOKEN, bearer
from traffic import PORT

BASE = f"/client/v4/accounts/{ACCOUNT}/pcaps"
CLIENTS = 4
TIMEOUT_S = 20.0
# Captures that are not over yet, of all clients together.
MOST_OPEN = 40


@dataclass
class Entry:
    """What is known of one capture."""

    stopped: bool = False  # a stop was acknowledged
    delete_sent: bool = False  # it may be gone
    deleted: bool = False  # the delete was acknowledged
    over: bool = False  # it was seen in its last state
    asked: dict = field(default_factory=dict)


class Ledger:
    """All captures that anybody has heard of. Its lock is for all of it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.entries = {}
        self.counts = collections.Counter()

    def add(self, job_id, asked):
        with self.lock:
            self.entries[job_id] = Entry(asked=asked)
            self.counts["created"] += 1

    def some(self, chance):
        """A capture that nobody has asked to delete; None if there is none."""
        with self.lock:
            ids = [i for i, x in self.entries.items() if not x.delete_sent]
        return chance.choice(ids) if ids else None

    def open(self):
        with self.lock:
            return sum(
                not (x.over or x.stopped or x.delete_sent)
                for x in self.entries.values()
            )

    def summary(self):
        with self.lock:
            return ", ".join(f"{n} {what}" for what, n in self.counts.items())


class Connection:
    """A connection that asks one thing after another."""

    def __init__(self, port):
        self._http = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=TIMEOUT_S
        )

    def ask(self, method, path="", body=None):
        """Status and body of an answer that came as a whole."""
        headers = bearer(TOKEN)
        if body is not None:
            body = json.dumps(body)
            headers["Content-Type"] = "application/json"
        self._http.request(method, BASE + path, body, headers)
        answer = self._http.getresponse()
        return answer.status, answer.read()

    def close(self):
        self._http.close()


class Clients:
    """Threads that ask until the daemon is gone."""

    def __init__(self, port, ledger, seed):
        self._ledger = ledger
        self._faults = []
        self._threads = [
            threading.Thread(target=self._run, args=(port, seed + i))
            for i in range(CLIENTS)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self._threads:
            thread.join()

    def assert_content(self):
        """Fails if a client got an answer that breaks a promise."""
        assert not self._faults, self._faults

    def _run(self, port, seed):
        chance = random.Random(seed)
        connection = Connection(port)
        steps = (self._create, self._stop, self._delete, self._download)
        try:
            while True:
                step = chance.choices(steps, weights=(5, 3, 1, 3))[0]
                step(connection, chance)
        except (OSError, http.client.HTTPException):
            pass  # it was killed
        except Exception as error:  # pylint: disable=broad-except
            self._faults.append(repr(error))
        finally:
            connection.close()

    def _create(self, connection, chance):
        if self._ledger.open() >= MOST_OPEN:
            return
        asked = {
            "type": "simple",
            "system": "magic-transit",
            "time_limit": chance.choice([1, 3, 20, 300]),
            "packet_limit": chance.choice([1, 100, 1000, 10000]),
            "filter_v1": {"destination_port": chance.choice([PORT] * 4 + [1])},
        }
        status, body = connection.ask("POST", "", asked)
        if status == 503:
            return  # as many run as may
        assert status == 200, (status, body)
        self._ledger.add(json.loads(body)["result"]["id"], asked)

    def _stop(self, connection, chance):
        job_id = self._ledger.some(chance)
        if job_id is None:
            return
        status, body = connection.ask("PUT", f"/{job_id}/stop")
        with self._ledger.lock:
            entry = self._ledger.entries[job_id]
            if status == 204:
                entry.stopped = True
                self._ledger.counts["stopped"] += 1
            else:
                assert status == 404 and entry.delete_sent, (status, body)

    def _delete(self, connection, chance):
        job_id = self._ledger.some(chance)
        if job_id is None:
            return
        with self._ledger.lock:
            entry = self._ledger.entries[job_id]
            another = entry.delete_sent
            entry.delete_sent = True
        status, body = connection.ask("DELETE", f"/{job_id}")
        with self._ledger.lock:
            if status == 204:
                entry.deleted = True
                self._ledger.counts["deleted"] += 1
            else:
                assert status == 404 and another, (status, body)

    def _download(self, connection, chance):
        job_id = self._ledger.some(chance)
        if job_id is None:
            return
        status, body = connection.ask("GET", f"/{job_id}/download")
        # Not yet, never, or not any more.
        assert status in (200, 404), (status, body)
        if status == 200:
            with self._ledger.lock:
                self._ledger.counts["downloaded"] += 1
