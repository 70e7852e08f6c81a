"""Nodes of different versions: a fleet that is upgraded while it captures, in
either order, and a version that is too old.

The fleet begins as $EDGECAPD_BEFORE and becomes $EDGECAPD_AFTER: this version and
one that says to be the next, or a build of an older one and this version
(`tests/e2e/nodes/run --from REVISION`).
"""

import subprocess

from harness.daemon import environment, program
from harness.fleets import (
    BACK_TIMEOUT_S,
    CapturingFleet,
    begin,
    lines_of,
    numbers_in,
)
from harness.waiting import wait_until

OURS, FAR = "EDGECAPD", "EDGECAPD_FAR"
BEFORE, AFTER = "EDGECAPD_BEFORE", "EDGECAPD_AFTER"


def version_of(variable):
    """What a program says that it is."""
    done = subprocess.run(
        [program(variable), "--version"],
        capture_output=True,
        check=True,
        env=environment(),
        text=True,
    )
    return done.stdout.split()[-1]


def fleet_of(variable):
    """A fleet that begins as this program."""
    made = CapturingFleet(edges=2)
    for daemon in (made.collector, *made.edges):
        daemon.program_variable = variable
    return made


def restart_as(daemon, variable):
    """Another program in the place of the one that runs."""
    daemon.stop()
    daemon.program_variable = variable
    daemon.start()


def wait_version(fleet, edge, variable):
    """Waits until the collector has this version of a node."""
    wanted = version_of(variable)

    def is_so():
        node = fleet.node(edge.host.name)
        return node["status"] == "connected" and node["version"] == wanted

    wait_until(lambda: f"{wanted}: {fleet.node(edge.host.name)}", is_so,
               BACK_TIMEOUT_S)


def capture_on_all(fleet, numbers):
    """A whole capture on all nodes."""
    client = fleet.collector.client()
    job_id = begin(client, fleet.edges)
    for edge in fleet.edges:
        edge.send(numbers)
    client.wait_captured(job_id, len(numbers) * len(fleet.edges))
    client.stop(job_id)
    job = client.wait_success(job_id)
    assert sorted(numbers_in(client.download(job_id))) == sorted(
        [*numbers] * len(fleet.edges)
    )
    return job


def upgrade_collector(fleet):
    """Captures end with what they have; edges come back by themselves."""
    client = fleet.collector.client()
    job_id = begin(client, fleet.edges)
    fleet.edges[0].send(range(10))
    client.wait_captured(job_id, 10)
    restart_as(fleet.collector, AFTER)
    for edge in fleet.edges:
        fleet.wait_node(edge.host.name, "connected", BACK_TIMEOUT_S)
    job = client.wait_success(job_id)
    assert job["end_reason"] == "shutdown"
    assert numbers_in(client.download(job_id)) == [*range(10)]


def upgrade_edges(fleet):
    """One after the other, while a capture runs."""
    client = fleet.collector.client()
    job_id = begin(client, fleet.edges)
    sent = 0
    for edge in fleet.edges:
        edge.send(range(sent, sent + 10))
        client.wait_captured(job_id, sent + 10)
        restart_as(edge, AFTER)
        wait_version(fleet, edge, AFTER)

        def captures_again(name=edge.host.name):
            lines = lines_of(client.job(job_id), name)
            return len(lines) == 2 and lines[1]["state"] == "capturing"

        wait_until("the node captures again", captures_again, BACK_TIMEOUT_S)
        edge.send(range(sent + 10, sent + 20))
        client.wait_captured(job_id, sent + 20)
        sent += 20
    client.stop(job_id)
    job = client.wait_success(job_id)
    assert not job.get("error_message")
    assert [x["error"] for x in job["interfaces"]] == [None] * 4
    assert sorted(numbers_in(client.download(job_id))) == [*range(sent)]


def test_collector_first():
    with fleet_of(BEFORE) as fleet:
        capture_on_all(fleet, range(10))
        upgrade_collector(fleet)
        for edge in fleet.edges:
            wait_version(fleet, edge, BEFORE)
        capture_on_all(fleet, range(20))
        upgrade_edges(fleet)
        capture_on_all(fleet, range(30))


def test_edges_first():
    with fleet_of(BEFORE) as fleet:
        upgrade_edges(fleet)
        capture_on_all(fleet, range(10))
        upgrade_collector(fleet)
        for edge in fleet.edges:
            wait_version(fleet, edge, AFTER)
        capture_on_all(fleet, range(20))


def test_a_version_that_is_too_old_is_refused():
    with fleet_of(OURS) as fleet:
        refuse_and_take_back(fleet)


def refuse_and_take_back(fleet):
    edge = fleet.edges[0]
    restart_as(fleet.collector, FAR)

    def refusals():
        return fleet.collector.events("node-refused", node=edge.host.name)

    wait_until("it is refused", refusals, BACK_TIMEOUT_S)
    assert refusals()[0]["version"] == version_of(OURS)
    assert "the collector understands 9 to 9" in refusals()[0]["error"]
    assert fleet.node(edge.host.name) is None

    def told():
        errors = [x["error"] for x in edge.events("collector-not-connected")]
        return any("the collector understands 9 to 9" in x for x in errors)

    wait_until("the edge says so", told, BACK_TIMEOUT_S)
    client = fleet.collector.client()
    job = client.wait_terminal(client.create()["id"])
    assert job["end_reason"] == "node_lost"
    # It has not given up.
    restart_as(fleet.collector, OURS)
    for each in fleet.edges:
        fleet.wait_node(each.host.name, "connected", BACK_TIMEOUT_S)
    capture_on_all(fleet, range(10))
