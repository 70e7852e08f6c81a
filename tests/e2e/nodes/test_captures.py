"""One capture over several hosts: what it holds, and what becomes of it when a
node or the way to it fails."""

import copy
import os
import pathlib
import signal
import time

import pytest
import yaml

from harness.fleets import (
    BACK_TIMEOUT_S,
    CapturingFleet,
    begin,
    lines_of,
    numbers_in,
    time_of,
)
from harness.waiting import wait_until

# Longer than the 25 s after which each end has given up a connection.
CUT_OFF_S = 30.0


@pytest.fixture(scope="module")
def fleet():
    with CapturingFleet(edges=4) as made:
        yield made


@pytest.fixture
def client(fleet):
    return fleet.collector.client()


@pytest.fixture(autouse=True)
def whole_again(fleet):
    """Each test begins with all nodes, and leaves them so."""
    yield
    for edge in fleet.edges:
        fleet.wait_node(edge.host.name, "connected", BACK_TIMEOUT_S)


def test_one_request_gives_one_file_of_all_nodes(fleet, client):
    job_id = begin(client, fleet.edges)
    wanted = []
    for i in range(50):
        for number, edge in enumerate(fleet.edges):
            edge.send([number * 1000 + i])
            edge.send([i], port=7)  # nobody asked for it
            wanted.append(number * 1000 + i)
    client.wait_captured(job_id, len(wanted))
    client.stop(job_id)
    job = client.wait_success(job_id)
    assert job["packets_captured"] == len(wanted)
    found = numbers_in(client.download(job_id))
    assert sorted(found) == sorted(wanted)
    for number, edge in enumerate(fleet.edges):
        of_edge = [x for x in found if x // 1000 == number]
        assert of_edge == sorted(of_edge), "as it came"
        (line,) = lines_of(job, edge.host.name)
        assert line["packets_captured"] == 50
        assert line["packets_matched"] == 50
        assert line["dropped_by_kernel"] == line["dropped_by_us"] == 0
        assert line["error"] is None


def test_the_packet_limit_is_one_for_all(fleet, client):
    job_id = begin(client, fleet.edges, packet_limit=30)
    for edge in fleet.edges:
        edge.send(range(25))
    job = client.wait_success(job_id)
    assert job["end_reason"] == "packet_limit"
    assert job["packets_captured"] == 30
    assert sum(x["packets_captured"] for x in job["interfaces"]) == 30
    assert len(numbers_in(client.download(job_id))) == 30


def test_a_node_without_the_system_takes_no_part(client):
    job = client.create(system="elsewhere")
    job = client.wait_terminal(job["id"])
    assert job["status"] == "failed"
    assert job["end_reason"] == "node_lost"
    assert "has no system elsewhere" in job["error_message"]


def test_a_client_chooses_nodes(fleet, client):
    chosen = fleet.edges[1]
    job = client.create(colo_name=chosen.host.name)
    assert job["colo_name"] == chosen.host.name
    client.wait_capturing(job["id"])
    client.stop(job["id"])
    job = client.wait_success(job["id"])
    assert [x["node"] for x in job["interfaces"]] == [chosen.host.name]
    # A colo is all of its nodes.
    job_id = begin(client, fleet.edges, colo="lab")
    assert client.job(job_id)["colo_name"] == "lab"
    client.stop(job_id)
    client.wait_success(job_id)
    job = client.wait_terminal(client.create(colo_name="nowhere")["id"])
    assert job["end_reason"] == "node_lost"
    assert "is or stands in nowhere" in job["error_message"]
    refused = client.try_create(colo_name="no where")
    assert (refused.status, refused.pointers) == (400, {"/colo_name": 20104})


def test_a_lossy_network_costs_no_packet(fleet, client):
    node = fleet.edges[2]
    with node.host.lossy(percent=5):
        job_id = begin(client, fleet.edges)
        for i in range(10):
            node.send(range(i * 100, i * 100 + 100))
            client.wait_captured(job_id, i * 100 + 100, timeout_s=60)
        client.stop(job_id)
        job = client.wait_success(job_id, timeout_s=60)
    (line,) = lines_of(job, node.host.name)
    assert line["error"] is None
    assert numbers_in(client.download(job_id)) == [*range(1000)]


def test_nodes_are_shown(fleet):
    for edge in fleet.edges:
        node = fleet.node(edge.host.name)
        assert node["colo_name"] == "lab"
        assert node["labels"] == [f"host={edge.host.name}"]
        assert edge.host.traffic.name in node["interfaces"]
        # All hosts of the test have one clock; if it is set by less than 10 ms
        # while a node answers, nobody notices.
        assert abs(node["clock_offset_ns"]) <= node["clock_error_ns"] + 10**7
        assert node["lost_because"] is None
    assert fleet.node("collector") is None, "it captures on nothing"


def test_a_node_cannot_pass_for_another(fleet):
    one, other = fleet.edges[:2]
    fleet.wait_node(one.host.name, "connected", BACK_TIMEOUT_S)
    refused = len(fleet.collector.events("node-refused"))
    own = copy.deepcopy(other.config)
    other.stop()
    try:
        # Its own certificate gets it through the wall.
        other.config["node"]["name"] = one.host.name
        refusal = refuse(fleet, other, refused)
        assert refusal["node"] == one.host.name
        assert refusal["error"] == f"its certificate is of {other.host.name}"
        # Nor without one.
        del other.config["fleet"]["certificate"]
        del other.config["fleet"]["key"]
        refusal = refuse(fleet, other, refused + 1)
        assert "has not asked what to sign" in refusal["error"]
        assert fleet.node(one.host.name)["labels"] == own_labels(one)
    finally:
        other.config = own
        other.write_config(yaml.safe_dump(other.config))
        other.start()


def own_labels(edge):
    return [f"host={edge.host.name}"]


def refuse(fleet, edge, before):
    """Starts an edge that the collector refuses; returns what it says of that."""
    edge.write_config(yaml.safe_dump(edge.config))
    edge.launch()
    try:
        wait_until(
            lambda: f"refused:\n{edge.log()[-2000:]}",
            lambda: len(fleet.collector.events("node-refused")) > before,
            30,
        )
    finally:
        edge.stop()
    return fleet.collector.events("node-refused")[-1]


def wait_captures_again(client, job_id, node):
    """Waits until a job has a second line of a node, which captures."""

    def captures_again():
        lines = lines_of(client.job(job_id), node.host.name)
        return len(lines) == 2 and lines[1]["state"] == "capturing"

    wait_until(
        lambda: f"the node captures again: {client.job(job_id)}",
        captures_again,
        BACK_TIMEOUT_S,
    )


def test_a_node_that_is_killed_costs_its_share(fleet, client):
    victim, *others = fleet.edges
    job_id = begin(client, fleet.edges)
    victim.send(range(10))
    client.wait_captured(job_id, 10)
    fault_s = time.time()
    victim.kill()
    lost = fleet.wait_lost(victim.host.name, fault_s)
    assert lost["lost_because"]
    others[0].send(range(100, 105))
    job = client.wait_captured(job_id, 15)
    (line,) = lines_of(job, victim.host.name)
    assert line["state"] == "failed"
    assert line["error"].startswith("node lost: ")
    assert line["packets_captured"] == 10
    assert line["dropped_by_kernel"] is None, "nobody knows"
    client.stop(job_id)
    job = client.wait_success(job_id)
    assert f"node {victim.host.name} was lost" in job["error_message"]
    found = numbers_in(client.download(job_id))
    assert sorted(found) == [*range(10), *range(100, 105)]
    victim.start()


def test_a_node_that_restarts_goes_on(fleet, client):
    node = fleet.edges[0]
    job_id = begin(client, fleet.edges)
    node.send(range(10))
    client.wait_captured(job_id, 10)
    fault_s = time.time()
    node.kill()
    fleet.wait_lost(node.host.name, fault_s)
    node.start()
    wait_captures_again(client, job_id, node)
    node.send(range(10, 20))
    client.wait_captured(job_id, 20)
    client.stop(job_id)
    job = client.wait_success(job_id)
    assert not job.get("error_message")
    assert numbers_in(client.download(job_id)) == [*range(20)]


def test_a_node_that_is_told_to_end_hands_over_all(fleet, client):
    node = fleet.edges[1]
    job_id = begin(client, fleet.edges)
    node.send(range(500))
    node.stop(signal.SIGTERM)
    assert node.events("shutdown-ends", captures_drained=True)
    job = client.wait_captured(job_id, 500)
    (line,) = lines_of(job, node.host.name)
    assert line["state"] == "ended"
    assert line["error"] is None
    client.stop(job_id)
    job = client.wait_success(job_id)
    assert numbers_in(client.download(job_id)) == [*range(500)]
    node.start()


def stand_still(pid):
    """Stops a process, all of its threads."""
    os.kill(pid, signal.SIGSTOP)

    def stopped():
        states = [
            path.read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
            for path in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")
        ]
        return set(states) == {"T"}

    wait_until("all threads stand still", stopped)


def test_a_node_that_stands_still_is_lost_and_comes_back(fleet, client):
    node, other = fleet.edges[2], fleet.edges[3]
    job_id = begin(client, fleet.edges)
    node.send(range(10))
    client.wait_captured(job_id, 10)
    fault_s = time.time()
    stand_still(node.pid)
    try:
        # Its kernel has them, and it sends them when it goes on.
        node.send(range(10, 20))
        lost = fleet.wait_lost(node.host.name, fault_s)
        assert "has not answered for 3000 ms" in lost["lost_because"]
        other.send(range(100, 110))
        client.wait_captured(job_id, 20)
    finally:
        os.kill(node.pid, signal.SIGCONT)
    fleet.wait_node(node.host.name, "connected", BACK_TIMEOUT_S)
    wait_captures_again(client, job_id, node)
    node.send(range(20, 30))
    client.wait_captured(job_id, 30)
    client.stop(job_id)
    job = client.wait_success(job_id)
    first, second = lines_of(job, node.host.name)
    assert first["state"] == "failed"
    assert first["packets_captured"] == 10, "nobody waited for more"
    assert second["packets_captured"] == 10
    found = numbers_in(client.download(job_id))
    assert sorted(found) == [*range(10), *range(20, 30), *range(100, 110)]


def test_a_job_ends_in_time_whatever_its_nodes_do(fleet, client):
    node = fleet.edges[0]
    job_id = begin(client, fleet.edges, time_limit=8)
    node.send(range(10))
    client.wait_captured(job_id, 10)
    os.kill(node.pid, signal.SIGSTOP)
    try:
        job = client.wait_success(job_id, timeout_s=40)
    finally:
        os.kill(node.pid, signal.SIGCONT)
    assert job["end_reason"] == "time_limit"
    assert node.host.name in job["error_message"]
    assert numbers_in(client.download(job_id)) == [*range(10)]


def test_a_node_that_is_lost_before_it_answered_is_named(fleet, client):
    node, other = fleet.edges[:2]
    fault_s = time.time()
    os.kill(node.pid, signal.SIGSTOP)
    try:
        job = client.create(
            filter_v1={"protocol": 17, "destination_port": 5000}, time_limit=8
        )
        fleet.wait_lost(node.host.name, fault_s)
        other.send(range(10))
        job = client.wait_success(job["id"], timeout_s=40)
    finally:
        os.kill(node.pid, signal.SIGCONT)
    assert job["end_reason"] == "time_limit"
    assert len(job["interfaces"]) == 3
    assert job["error_message"].startswith(
        f"node {node.host.name} was lost and did not come back: "
    )
    assert numbers_in(client.download(job["id"])) == [*range(10)]


def test_a_partition_heals(fleet, client):
    node = fleet.edges[3]
    job_id = begin(client, fleet.edges)
    node.send(range(10))
    client.wait_captured(job_id, 10)
    connections = len(node.events("collector-connected"))
    fault_s = time.time()
    with node.host.unplugged():
        fleet.wait_lost(node.host.name, fault_s)
    fleet.wait_node(node.host.name, "connected", BACK_TIMEOUT_S)
    assert_goes_on(fleet, client, job_id, node)
    assert len(node.events("collector-connected")) == connections, (
        "it was too short for the connection to be given up"
    )


def test_a_node_dials_again_after_its_connection_was_given_up(fleet, client):
    """Each end gives it up after CAF's connection timeout, and both processes
    live on."""
    node = fleet.edges[3]
    job_id = begin(client, fleet.edges)
    node.send(range(10))
    client.wait_captured(job_id, 10)
    connections = len(node.events("collector-connected"))
    fault_s = time.time()
    with node.host.unplugged():
        fleet.wait_lost(node.host.name, fault_s)
        wait_until(
            "it is cut off for so long",
            lambda: time.time() >= fault_s + CUT_OFF_S,
            CUT_OFF_S,
        )
        given_up = node.events("collector-not-connected")[-1]
        assert time_of(given_up) >= fault_s
    wait_dialled_again(node, connections)
    assert_goes_on(fleet, client, job_id, node)


@pytest.mark.parametrize("end", ["edge", "collector"])
def test_a_wall_that_is_restarted_breaks_no_capture(fleet, client, end):
    """As after a renewal of certificates: all connections end, no process of
    edgecapd does."""
    node = fleet.edges[3]
    wall = fleet.wall_of(node if end == "edge" else fleet.collector)
    job_id = begin(client, fleet.edges)
    node.send(range(10))
    client.wait_captured(job_id, 10)
    connections = len(node.events("collector-connected"))
    fault_s = time.time()
    wall.stop()
    lost = fleet.wait_lost(node.host.name, fault_s)
    assert "its connection is gone" in lost["lost_because"]
    wall.start()
    wait_dialled_again(node, connections)
    assert_goes_on(fleet, client, job_id, node)


def wait_dialled_again(node, connections):
    """Waits until a node has one connection more than before."""
    wait_until(
        lambda: f"dialled again:\n{node.log()[-2000:]}",
        lambda: len(node.events("collector-connected")) == connections + 1,
        BACK_TIMEOUT_S,
    )


def assert_goes_on(fleet, client, job_id, node):
    """A job that has ten packets of a node goes on with it: a further line."""
    fleet.wait_node(node.host.name, "connected", BACK_TIMEOUT_S)
    wait_captures_again(client, job_id, node)
    node.send(range(10, 20))
    client.wait_captured(job_id, 20)
    client.stop(job_id)
    job = client.wait_success(job_id)
    first, second = lines_of(job, node.host.name)
    assert first["error"].startswith("node lost: ")
    assert first["packets_captured"] == second["packets_captured"] == 10
    assert second["error"] is None
    assert numbers_in(client.download(job_id)) == [*range(20)]


def test_a_collector_that_crashes_goes_on_with_its_nodes(fleet, client):
    job_id = begin(client, fleet.edges)
    for number, edge in enumerate(fleet.edges):
        edge.send([number])
    client.wait_captured(job_id, 4)
    fleet.collector.kill()
    fleet.collector.start()
    for edge in fleet.edges:
        fleet.wait_node(edge.host.name, "connected", BACK_TIMEOUT_S)

    def everywhere():
        lines = client.job(job_id)["interfaces"]
        return sum(line["state"] == "capturing" for line in lines) == 4

    wait_until(lambda: f"all: {client.job(job_id)}", everywhere, 20)
    for number, edge in enumerate(fleet.edges):
        edge.send([number + 4])
    client.wait_captured(job_id, 8)
    client.stop(job_id)
    job = client.wait_success(job_id)
    assert len(job["interruptions"]) == 1
    assert sorted(numbers_in(client.download(job_id))) == [*range(8)]
