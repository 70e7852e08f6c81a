"""A node that stands still when a capture begins, for longer than requests between
actors take otherwise, and shorter than makes it lost."""

import contextlib
import datetime
import os
import signal

import pytest

from harness.fleets import (
    BACK_TIMEOUT_S,
    CapturingFleet,
    lines_of,
    numbers_in,
)
from harness.waiting import wait_until

# Of any other request.
REQUEST_TIMEOUT_S = 10


@pytest.fixture(scope="module")
def fleet():
    with CapturingFleet(edges=2, fleet={"lost_after": "30s"}) as made:
        yield made


@pytest.fixture
def client(fleet):
    return fleet.collector.client()


@contextlib.contextmanager
def standing_still(fleet, node):
    """A node whose process stands still, and which is there again behind it."""
    os.kill(node.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(node.pid, signal.SIGCONT)
        fleet.wait_node(node.host.name, "connected", BACK_TIMEOUT_S)


def silence_s(fleet, node):
    """For how long the collector has not heard a node."""
    seen = fleet.node(node.host.name)["last_seen"].replace("Z", "+00:00")
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now - datetime.datetime.fromisoformat(seen)).total_seconds()


def create(client, **fields):
    return client.create(
        filter_v1={"protocol": 17, "destination_port": 5000}, **fields
    )["id"]


def captures_on(client, job_id, node):
    return any(
        line["state"] == "capturing"
        for line in lines_of(client.job(job_id), node.host.name)
    )


@pytest.mark.parametrize("chosen", [False, True], ids=["all", "alone"])
def test_a_node_that_stood_still_takes_part(fleet, client, chosen):
    node, other = fleet.edges
    name = node.host.name
    with standing_still(fleet, node):
        job_id = create(client, **({"colo_name": name} if chosen else {}))
        wait_until(
            lambda: f"silent for long: {silence_s(fleet, node)} s",
            lambda: silence_s(fleet, node) > REQUEST_TIMEOUT_S + 2,
            20,
        )
        assert fleet.node(name)["status"] == "connected"
        assert not lines_of(client.job(job_id), name)
    wait_until(
        lambda: f"captures: {client.job(job_id)}",
        lambda: captures_on(client, job_id, node),
        10,
    )
    node.send(range(10))
    if not chosen:
        other.send(range(10, 20))
    count = 10 if chosen else 20
    client.wait_captured(job_id, count)
    client.stop(job_id)
    job = client.wait_success(job_id)
    assert not job.get("error_message")
    assert len(lines_of(job, name)) == 1
    assert sorted(numbers_in(client.download(job_id))) == [*range(count)]


def test_a_node_that_goes_on_standing_still_is_named(fleet, client):
    node, other = fleet.edges
    with standing_still(fleet, node):
        job_id = create(client, time_limit=5)
        wait_until(
            lambda: f"captures: {client.job(job_id)}",
            lambda: captures_on(client, job_id, other),
            4,
        )
        other.send(range(10))
        job = client.wait_success(job_id)
    assert job["end_reason"] == "time_limit"
    assert job["error_message"] == f"node {node.host.name} has not answered"
    assert not lines_of(job, node.host.name)
    assert numbers_in(client.download(job_id)) == [*range(10)]
