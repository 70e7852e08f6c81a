"""Stored jobs by the hundred thousand, written as docs/storage.md lays them
out while no daemon runs."""

import mmap
import os
import pathlib
import sqlite3
import struct
import time

from harness.daemon import ACCOUNT, Daemon

PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)
SMALL_PACKET_BYTES = 60
SMALL_FILE_BYTES = len(PCAP_HEADER) + 16 + SMALL_PACKET_BYTES
# Largest record of the large file: libpcap's largest snapshot length.
LARGE_PACKET_BYTES = 262144
SECOND_NS = 1_000_000_000


def job_id(number):
    """The id of the stored job with this number; 0 is the oldest."""
    return f"{number:032x}"


def rfc3339(time_ns):
    """A time as the API writes it."""
    seconds, fraction = divmod(time_ns, SECOND_NS)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{fraction // 1000:06d}Z"


def create_index(work, config):
    """Lets the daemon make its index, and stop."""
    with Daemon(work, config):
        pass


def _job_row(number, submitted_ns, packets, file_bytes):
    return {
        "id": job_id(number),
        "account_id": ACCOUNT,
        "type": "simple",
        "system": "magic-transit",
        "time_limit_s": 60,
        "packet_limit": 10000,
        "filter_source_address": None,
        "filter_destination_address": "198.51.100.1",
        "filter_source_port": None,
        "filter_destination_port": 5000,
        "filter_protocol": 17,
        "submitted": submitted_ns,
        "phase": "succeeded",
        "reason": "time_limit",
        "error_message": "",
        "stop_requested": 0,
        "started": submitted_ns + SECOND_NS // 100,
        "finished": submitted_ns + 60 * SECOND_NS,
        "packets_captured": packets,
        "bytes_captured": file_bytes - len(PCAP_HEADER) - 16 * packets,
        "savefile_bytes": file_bytes,
        "pcapng_bytes": 0,
    }


def _interface_row(number, packets):
    return {
        "job_id": job_id(number),
        "run": 0,
        "node": "bench-node",
        "interface": "eth0",
        "phase": "ended",
        "link_type": 1,
        "sampling_one_in": 1,
        "packets_matched": packets,
        "packets_captured": packets,
        "packets_sampled_out": 0,
        "dropped_by_kernel": 0,
        "dropped_by_interface": None,
        "dropped_by_us": 0,
        "error": "",
    }


def _insert(database, table, rows):
    names = list(rows[0])
    marks = ", ".join(":" + name for name in names)
    database.executemany(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", rows
    )


def _write_small(path, number):
    content = PCAP_HEADER + struct.pack(
        "<IIII", number, 0, SMALL_PACKET_BYTES, SMALL_PACKET_BYTES
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    os.write(descriptor, content + bytes(SMALL_PACKET_BYTES))
    os.close(descriptor)


def _write_large(path, size):
    """A valid savefile of `size` bytes, mostly holes: the headers of records
    are on the disk, and the first bytes of each packet."""
    packets = 0
    with open(path, "xb") as f:
        f.write(PCAP_HEADER)
        at = len(PCAP_HEADER)
        while at < size:
            length = min(LARGE_PACKET_BYTES, size - at - 16)
            # What remains has room for a record with at least its mark.
            if 0 < size - at - 16 - length < 64:
                length -= 64
            f.seek(at)
            f.write(struct.pack("<IIIII", packets, 0, length, length, packets))
            at += 16 + length
            packets += 1
        f.truncate(size)
    os.chmod(path, 0o640)
    # Into the page cache, so that no server pays for it.
    with open(path, "rb") as f:
        while f.read(1 << 22):
            pass
    return packets


class Seed:
    """`jobs` finished jobs, of which the newest has a savefile of
    `large_bytes`; number 0 is the oldest."""

    def __init__(self, directory, jobs, large_bytes):
        self.jobs = jobs
        self.large_bytes = large_bytes
        self.savefiles = pathlib.Path(directory) / "savefiles"
        self.large_id = job_id(jobs - 1)
        self.large_file = self.savefiles / f"{self.large_id}.pcap"
        self._first_ns = (int(time.time()) - 120 - jobs) * SECOND_NS
        for number in range(jobs - 1):
            _write_small(self.savefiles / f"{job_id(number)}.pcap", number)
        packets = _write_large(self.large_file, large_bytes)
        self._insert_rows(pathlib.Path(directory) / "index.sqlite", packets)

    def submitted_ns(self, number):
        return self._first_ns + number * SECOND_NS

    def _insert_rows(self, index, large_packets):
        jobs = [
            _job_row(n, self.submitted_ns(n), 1, SMALL_FILE_BYTES)
            for n in range(self.jobs - 1)
        ]
        last = self.jobs - 1
        jobs.append(
            _job_row(
                last, self.submitted_ns(last), large_packets, self.large_bytes
            )
        )
        interfaces = [_interface_row(n, 1) for n in range(last)]
        interfaces.append(_interface_row(last, large_packets))
        with sqlite3.connect(index) as database:
            _insert(database, "jobs", jobs)
            _insert(database, "interfaces", interfaces)
        database.close()

    def large_content(self):
        """The large savefile, to compare with."""
        with open(self.large_file, "rb") as f:
            return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
