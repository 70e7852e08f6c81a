"""The life of a job as clients see it: get, list, stop, delete."""

import pytest

from harness import packets
from harness.daemon import Daemon, configuration

UNKNOWN_ID = "0" * 32
BAD_QUERY = 20105
NOT_SUPPORTED = 20106
UNKNOWN_JOB = 20200


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@pytest.fixture(scope="module")
def daemon(link, work):
    config = configuration(work(), [link.name], limits={"running_jobs": 100})
    with Daemon(work(), config) as running:
        yield running


@pytest.fixture
def api(daemon):
    client = daemon.client()
    yield client
    while jobs := client.jobs():
        for job in jobs:
            client.delete(job["id"])


def send(link, count):
    for number in range(count):
        link.send(packets.ethernet(packets.udp_ipv4(packets.marked(number))))


def finished(api, link, packet_count=3):
    """A job that ended by its packet limit."""
    job_id = api.create(packet_limit=packet_count)["id"]
    api.wait_capturing(job_id)
    send(link, packet_count)
    return api.wait_success(job_id)


# -- get ----------------------------------------------------------------------


def test_a_running_job_counts(api, link):
    job_id = api.create(packet_limit=10)["id"]
    job = api.wait_capturing(job_id)
    assert job["status"] == "pending"
    assert job["packets_remaining"] == 10
    send(link, 4)
    job = api.wait_captured(job_id, 4)
    assert job["status"] == "pending"
    assert job["packets_captured"] == 4
    assert job["packets_remaining"] == 6
    assert job["bytes_captured"] == 4 * (14 + 20 + 8 + 32)
    assert job["started"] >= job["submitted"]
    assert "finished" not in job and "end_reason" not in job


def test_a_finished_job_tells_its_story(api, link):
    job = finished(api, link)
    assert job["status"] == "success"
    assert job["end_reason"] == "packet_limit"
    assert job["packets_captured"] == 3
    assert job["packets_remaining"] == 0
    assert job["bytes_captured"] == 3 * (14 + 20 + 8 + 32)
    assert job["submitted"] <= job["started"] <= job["finished"]
    assert not job.get("error_message")
    (report,) = job["interfaces"]
    assert report["node"] == "e2e-node"
    assert report["interface"] == link.name
    assert report["sampling_one_in"] == 1
    assert report["packets_captured"] == 3
    assert set(report) >= {
        "node",
        "interface",
        "state",
        "link_type",
        "sampling_one_in",
        "packets_matched",
        "packets_captured",
        "packets_sampled_out",
        "dropped_by_kernel",
        "dropped_by_interface",
        "dropped_by_us",
    }
    for counter in (
        "packets_matched",
        "packets_sampled_out",
        "dropped_by_kernel",
        "dropped_by_interface",
        "dropped_by_us",
    ):
        value = report[counter]
        assert value is None or (type(value) is int and value >= 0), counter
    # The kernel of these tests tells these.
    assert report["dropped_by_kernel"] == 0
    assert report["packets_sampled_out"] in (0, None)


@pytest.mark.parametrize(
    "job_id",
    [UNKNOWN_ID, "x", UNKNOWN_ID[1:], UNKNOWN_ID + "0", "A" * 32, "%00" * 32],
)
def test_an_unknown_job_is_404(api, job_id):
    for method, rest in (
        ("GET", ""),
        ("GET", "/download"),
        ("PUT", "/stop"),
        ("DELETE", ""),
    ):
        answer = api.request(method, api.path(job_id, rest))
        assert answer.status == 404, (method, rest)
        assert answer.codes in ([UNKNOWN_JOB], [7003])
        if job_id == UNKNOWN_ID:
            assert answer.codes == [UNKNOWN_JOB]


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/html; charset=x", "nonsense", ""]
)
def test_a_content_type_without_a_body_is_ignored(api, content_type):
    headers = {"Content-Type": content_type}
    job_id = api.create()["id"]
    answer = api.request("GET", api.path(job_id), headers=headers)
    assert answer.status == 200
    answer = api.request("GET", api.base, headers=headers)
    assert answer.status == 200
    answer = api.request("PUT", api.path(job_id, "/stop"), headers=headers)
    assert answer.status == 204


# -- stop ---------------------------------------------------------------------


def test_stop_keeps_what_was_captured(api, link):
    job_id = api.create(packet_limit=10)["id"]
    api.wait_capturing(job_id)
    send(link, 4)
    api.wait_captured(job_id, 4)
    api.stop(job_id)
    job = api.wait_success(job_id)
    assert job["end_reason"] == "stopped"
    assert job["packets_captured"] == 4
    assert job["packets_remaining"] == 0
    assert len(api.download(job_id)) > 24


def test_stop_is_idempotent(api):
    job_id = api.create()["id"]
    for _ in range(3):
        api.stop(job_id)
    before = api.wait_success(job_id)
    api.stop(job_id)
    assert api.job(job_id) == before


def test_stop_of_a_job_that_ended_by_itself_changes_nothing(api, link):
    job = finished(api, link)
    api.stop(job["id"])
    assert api.job(job["id"]) == job


def test_stop_ignores_a_body(api):
    job_id = api.create()["id"]
    answer = api.request("PUT", api.path(job_id, "/stop"), {"any": "thing"})
    assert answer.status == 204


# -- delete -------------------------------------------------------------------


def test_delete_removes_job_and_file(api, daemon, link):
    job_id = finished(api, link)["id"]
    assert list(daemon.directory.rglob(f"*{job_id}*"))
    api.delete(job_id)
    for rest in ("", "/download"):
        answer = api.get(api.path(job_id, rest))
        assert (answer.status, answer.codes) == (404, [UNKNOWN_JOB])
    answer = api.request("DELETE", api.path(job_id))
    assert (answer.status, answer.codes) == (404, [UNKNOWN_JOB])
    assert job_id not in [job["id"] for job in api.jobs()]
    assert not list(daemon.directory.rglob(f"*{job_id}*"))


def test_delete_of_a_running_job_ends_it(api, daemon, link):
    job_id = api.create()["id"]
    api.wait_capturing(job_id)
    send(link, 2)
    api.wait_captured(job_id, 2)
    api.delete(job_id)
    assert api.get(api.path(job_id)).status == 404
    assert api.jobs() == []
    assert not list(daemon.directory.rglob(f"*{job_id}*"))


# -- list ---------------------------------------------------------------------


def test_a_list_of_none(api):
    answer = api.get(api.base)
    assert answer.result == []
    assert answer.json["result_info"] == {
        "page": 1,
        "per_page": 50,
        "count": 0,
        "total_count": 0,
        "total_pages": 0,
    }


def test_the_newest_50_come_first(api):
    created = [api.create()["id"] for _ in range(55)]
    newest_first = created[::-1]
    answer = api.get(api.base)
    assert [job["id"] for job in answer.result] == newest_first[:50]
    assert answer.json["result_info"] == {
        "page": 1,
        "per_page": 50,
        "count": 50,
        "total_count": 55,
        "total_pages": 2,
    }
    answer = api.get(api.base + "?page=2")
    assert [job["id"] for job in answer.result] == newest_first[50:]
    assert answer.json["result_info"]["count"] == 5
    answer = api.get(api.base + "?page=3&per_page=20")
    assert [job["id"] for job in answer.result] == newest_first[40:]
    assert answer.json["result_info"] == {
        "page": 3,
        "per_page": 20,
        "count": 15,
        "total_count": 55,
        "total_pages": 3,
    }
    answer = api.get(api.base + "?per_page=20&page=4")
    assert answer.result == []
    assert answer.json["result_info"]["count"] == 0
    assert answer.json["result_info"]["total_count"] == 55


def test_list_and_get_agree(api, link):
    finished(api, link)
    for job in api.jobs():
        assert job == api.job(job["id"])


def test_the_list_is_filtered(api, link):
    done = finished(api, link)["id"]
    running = api.create()["id"]

    def listed(query):
        answer = api.get(api.base + query)
        ids = [job["id"] for job in answer.result]
        assert answer.json["result_info"]["total_count"] == len(ids)
        return ids

    assert listed("") == [running, done]
    assert listed("?status=success") == [done]
    assert listed("?status=pending") == [running]
    assert listed("?status=failed") == []
    assert listed("?status=complete") == []
    assert listed("?type=simple") == [running, done]
    assert listed("?type=full") == []
    assert listed("?status=success&type=simple&page=1&per_page=1") == [done]
    assert listed("?status=success&type=full") == []


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        "page=x",
        "page=",
        "page=1.5",
        "page=99999999999999999999",
        "per_page=0",
        "per_page=51",
        "per_page=x",
        "status=done",
        "type=other",
    ],
)
def test_a_wrong_query_is_refused(api, query):
    answer = api.get(f"{api.base}?{query}")
    assert answer.status == 400, answer.body
    assert answer.codes == [BAD_QUERY]
    assert query.split("=")[0] in answer.text


def test_every_wrong_query_parameter_is_reported(api):
    answer = api.get(api.base + "?page=0&per_page=51&status=x&type=y")
    assert answer.codes == [BAD_QUERY] * 4


# -- what is not there yet ----------------------------------------------------


@pytest.mark.parametrize(
    "method, rest, body",
    [
        ("GET", "/ownership", None),
        ("POST", "/ownership", {"destination_conf": "s3://b/d?region=r"}),
        (
            "POST",
            "/ownership/validate",
            {"destination_conf": "s3://b", "ownership_challenge": "x"},
        ),
        ("DELETE", "/ownership/" + UNKNOWN_ID, None),
    ],
)
def test_ownership_is_not_supported(api, method, rest, body):
    answer = api.request(method, api.base + rest, body)
    # 5xx would have clients try again.
    assert answer.status == 400, answer.body
    assert answer.codes == [NOT_SUPPORTED]
    assert "not supported" in answer.text
