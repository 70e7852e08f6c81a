"""A node whose clock is wrong."""

import os

import pytest

from harness.fleets import CapturingFleet, begin, lines_of
from harness.savefiles import read_pcap

AHEAD_NS = 60_000_000_000


@pytest.fixture(scope="module")
def fleet():
    made = CapturingFleet(edges=2, fleet={"correct_clocks": True})
    # The process believes so; the kernel, whose stamps the packets have, cannot
    # have another clock than its neighbours.
    made.edges[0].more_environment = {
        "LD_PRELOAD": os.environ["WRONG_CLOCK"],
        "WRONG_CLOCK_AHEAD_NS": str(AHEAD_NS),
        # The clock comes before the sanitizer's runtime.
        "ASAN_OPTIONS": "verify_asan_link_order=0:exitcode=99",
    }
    with made:
        yield made


def test_stamps_are_corrected_by_what_is_shown(fleet):
    client = fleet.collector.client()
    wrong, right = fleet.edges
    node = fleet.node(wrong.host.name)
    assert abs(node["clock_offset_ns"] - AHEAD_NS) <= node["clock_error_ns"] + 10**7
    job_id = begin(client, fleet.edges)
    right.send([1])
    client.wait_captured(job_id, 1)
    wrong.send([2])
    client.wait_captured(job_id, 2)
    client.stop(job_id)
    job = client.wait_success(job_id)
    (line,) = lines_of(job, wrong.host.name)
    correction = line["clock_correction_ns"]
    assert abs(correction + AHEAD_NS) < 10**9
    (line,) = lines_of(job, right.host.name)
    assert abs(line["clock_correction_ns"]) < 10**9
    # What was captured later comes first: its stamp was right, and was moved.
    first, second = read_pcap(client.download(job_id)).records
    assert first.data[46:50] == (2).to_bytes(4, "big")
    # Between the two of them there were some seconds at most.
    assert AHEAD_NS / 2 < second.time_ns - first.time_ns < AHEAD_NS + 10**9


def test_a_limit_in_time_is_one_moment_for_all(fleet):
    client = fleet.collector.client()
    job_id = begin(client, fleet.edges, time_limit=20)
    for edge in fleet.edges:
        edge.send([1])
    job = client.wait_success(job_id, timeout_s=60)
    assert job["end_reason"] == "time_limit"
    assert job["packets_captured"] == 2
    assert all(x["error"] is None for x in job["interfaces"])
