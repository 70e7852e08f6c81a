"""A node whose way to the collector is slower than what it captures."""

import pytest

from harness.fleets import CapturingFleet, begin, lines_of, numbers_in
from harness.waiting import wait_until

OFFERED = 40_000
PACKET_BYTES = 1400
# With these a node has some 3 MiB, of 56 MB that it is offered.
RING = "1MiB"
RATE = "8mbit"


@pytest.fixture(scope="module")
def fleet():
    with CapturingFleet(
        edges=2, snaplen="1500B", ring=RING, limits={"packet_limit": 100_000}
    ) as made:
        yield made


def test_a_slow_link_costs_packets_of_its_node_alone(fleet):
    client = fleet.collector.client()
    slow, fast = fleet.edges
    job_id = begin(client, fleet.edges, packet_limit=100_000)
    before = [x.peak_bytes() for x in (slow, fleet.collector)]

    def counted():
        (line,) = lines_of(client.job(job_id), slow.host.name)
        parts = ("packets_captured", "dropped_by_kernel", "dropped_by_us")
        return sum(line[part] for part in parts) == OFFERED

    with slow.host.slow(RATE):
        slow.send(range(OFFERED), length=PACKET_BYTES)
        # The other one does not wait for it.
        fast.send(range(OFFERED, OFFERED + 500), length=PACKET_BYTES)

        def fast_is_there():
            (line,) = lines_of(client.job(job_id), fast.host.name)
            return line["packets_captured"] == 500

        wait_until("all of the fast node", fast_is_there, 20)
        wait_until(
            lambda: f"every packet has its place: {client.job(job_id)}",
            counted,
            60,
        )
        client.stop(job_id)
        job = client.wait_success(job_id, timeout_s=60)
    assert not job.get("error_message")
    (line,) = lines_of(job, slow.host.name)
    assert line["error"] is None, "it was never lost"
    lost = line["dropped_by_kernel"] + line["dropped_by_us"]
    assert line["packets_captured"] + lost == OFFERED
    assert lost > OFFERED / 2
    (line,) = lines_of(job, fast.host.name)
    assert line["packets_captured"] == 500
    assert line["dropped_by_kernel"] == line["dropped_by_us"] == 0
    assert len(numbers_in(client.download(job_id))) == job["packets_captured"]
    after = [x.peak_bytes() for x in (slow, fleet.collector)]
    for was, now in zip(before, after):
        assert now - was < 32 << 20, "what waits has a bound"
