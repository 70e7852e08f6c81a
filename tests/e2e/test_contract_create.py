"""POST /pcaps: what is accepted, what is refused, and in which words.

Nothing is sent to the captured interface: jobs stay pending until they are
deleted.
"""

import json
import re

import pytest

from harness.client import TIME_PATTERN
from harness.daemon import Daemon, configuration

BAD_JSON = 20100
MISSING = 20101
BAD_TYPE = 20102
OUT_OF_RANGE = 20103
BAD_VALUE = 20104
NOT_SUPPORTED = 20106
UNKNOWN_SYSTEM = 20107
UNKNOWN_FIELD = 20400

FILTER_NUMBERS = ["source_port", "destination_port", "protocol"]
NOT_NUMBERS = ["60", True, False, None, [], [60], {}, "", "sixty"]


@pytest.fixture(scope="module")
def daemon(links, work):
    link = links.veth()
    config = configuration(
        work(),
        [link.name],
        limits={"running_jobs": 1000},
        http={"max_body_size": "4KiB"},
    )
    with Daemon(work(), config) as running:
        yield running


@pytest.fixture
def api(daemon):
    """A client whose jobs are gone after the test."""
    client = daemon.client()
    yield client
    for job in client.jobs():
        client.delete(job["id"])


def body(**changes):
    """A valid body with changes; a value of ... takes the field out."""
    fields = {
        "type": "simple",
        "system": "magic-transit",
        "time_limit": 300,
        "packet_limit": 10000,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not ...}


def post(api, content, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.request("POST", api.base, content, named)


def assert_refused(answer, **expected):
    """400, and exactly these fields are blamed: pointer to code, where `__`
    stands for a slash."""
    assert answer.status == 400, answer.body
    pointers = {
        "/" + name.replace("__", "/"): code for name, code in expected.items()
    }
    assert answer.pointers == pointers, answer.body
    assert len(answer.json["errors"]) == len(pointers), answer.body


# -- what is answered ---------------------------------------------------------


def test_answers_200_with_the_job(api):
    answer = post(api, body(time_limit=120, packet_limit=77))
    assert answer.status == 200
    job = answer.result
    assert re.fullmatch("[0-9a-f]{32}", job["id"])
    assert TIME_PATTERN.fullmatch(job["submitted"])
    assert job["type"] == "simple"
    assert job["system"] == "magic-transit"
    assert job["status"] == "pending"
    assert job["time_limit"] == 120
    assert job["packet_limit"] == 77
    assert job["packets_remaining"] == 77
    assert job["packets_captured"] == 0
    assert job["bytes_captured"] == 0
    assert job["filter_v1"] == {}
    assert isinstance(job["interfaces"], list)
    for unset in ("offset_time", "stop_requested", "finished", "end_reason"):
        assert unset not in job, job
    assert answer.json["messages"] == []


def test_get_answers_what_was_created(api):
    created = api.create(filter_v1={"source_port": 53})
    got = api.job(created["id"])
    for name in (
        "id submitted type system time_limit packet_limit filter_v1".split()
    ):
        assert got[name] == created[name]


def test_ids_differ(api):
    assert len({api.create()["id"] for _ in range(20)}) == 20


# -- limits -------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value",
    [
        ("time_limit", 1),
        ("time_limit", 300),
        ("packet_limit", 1),
        ("packet_limit", 10000),
    ],
)
def test_bounds_are_inclusive(api, name, value):
    assert api.create(**{name: value})[name] == value


@pytest.mark.parametrize(
    "name, value",
    [
        ("time_limit", 0),
        ("time_limit", -1),
        ("time_limit", 301),
        ("time_limit", 2**32 + 60),
        ("time_limit", 10**30),
        ("packet_limit", 0),
        ("packet_limit", -5),
        ("packet_limit", 10001),
        ("packet_limit", 2**64 + 1),
        ("packet_limit", 1e300),
    ],
)
def test_numbers_outside_the_bounds_are_refused(api, name, value):
    answer = post(api, body(**{name: value}))
    assert_refused(answer, **{name: OUT_OF_RANGE})


@pytest.mark.parametrize("name", ["time_limit", "packet_limit"])
@pytest.mark.parametrize("text", ["60.0", "6e1", "600e-1", "60"])
def test_integral_numbers_are_accepted_however_written(api, name, text):
    content = json.dumps(body(**{name: "@"})).replace('"@"', text)
    answer = post(api, content.encode())
    assert answer.status == 200, answer.body
    assert answer.result[name] == 60
    assert isinstance(answer.result[name], int)


@pytest.mark.parametrize("name", ["time_limit", "packet_limit"])
@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_what_is_no_integral_number_is_refused(api, name, value):
    answer = post(api, body(**{name: value}))
    assert_refused(answer, **{name: BAD_TYPE})


@pytest.mark.parametrize("name", ["time_limit", "packet_limit"])
@pytest.mark.parametrize("value", [1.5, 59.999, 1e-3])
def test_a_fraction_is_refused(api, name, value):
    answer = post(api, body(**{name: value}))
    assert_refused(answer, **{name: BAD_VALUE})


# -- type and system ----------------------------------------------------------


@pytest.mark.parametrize("name", "type system time_limit packet_limit".split())
def test_a_required_field_that_is_missing_is_named(api, name):
    answer = post(api, body(**{name: ...}))
    assert_refused(answer, **{name: MISSING})


@pytest.mark.parametrize("name", ["type", "system"])
@pytest.mark.parametrize("value", [1, True, None, [], {}], ids=repr)
def test_what_is_no_string_is_refused(api, name, value):
    assert_refused(post(api, body(**{name: value})), **{name: BAD_TYPE})


@pytest.mark.parametrize("value", ["", "Simple", "other", "simple\0"])
def test_an_unknown_type_is_refused(api, value):
    assert_refused(post(api, body(type=value)), type=BAD_VALUE)


def test_full_captures_are_not_supported(api):
    answer = post(
        api,
        body(
            type="full",
            colo_name="here",
            destination_conf="s3://bucket/dir?region=r",
            byte_limit=1000,
        ),
    )
    assert answer.status == 400, answer.body
    assert answer.codes == [NOT_SUPPORTED]
    assert answer.pointers == {"/type": NOT_SUPPORTED}
    assert "not supported" in answer.text
    assert api.jobs() == []


@pytest.mark.parametrize("value", ["", "magic", "magic-transit ", "../x"])
def test_an_unknown_system_is_refused(api, value):
    answer = post(api, body(system=value))
    assert_refused(answer, system=UNKNOWN_SYSTEM)


def test_a_look_back_is_refused_rather_than_ignored(api):
    answer = post(api, body(offset_time="2026-01-01T00:00:00Z"))
    assert_refused(answer, offset_time=NOT_SUPPORTED)


# -- several faults -----------------------------------------------------------


def test_every_wrong_field_is_reported(api):
    answer = post(
        api,
        {
            "system": 5,
            "time_limit": "60",
            "packet_limit": 10001,
            "filter_v1": {
                "source_address": "1.2.3",
                "destination_address": 4,
                "source_port": 65536,
                "destination_port": [80],
                "protocol": 256,
            },
        },
    )
    assert_refused(
        answer,
        type=MISSING,
        system=BAD_TYPE,
        time_limit=BAD_TYPE,
        packet_limit=OUT_OF_RANGE,
        filter_v1__source_address=BAD_VALUE,
        filter_v1__destination_address=BAD_TYPE,
        filter_v1__source_port=OUT_OF_RANGE,
        filter_v1__destination_port=BAD_TYPE,
        filter_v1__protocol=OUT_OF_RANGE,
    )


def test_an_empty_object_lacks_every_required_field(api):
    assert_refused(
        post(api, {}),
        type=MISSING,
        system=MISSING,
        time_limit=MISSING,
        packet_limit=MISSING,
    )


def test_a_refused_request_leaves_no_job(api):
    post(api, body(time_limit=0))
    assert api.jobs() == []


# -- unknown fields -----------------------------------------------------------


def test_unknown_fields_are_ignored_and_named(api):
    answer = post(
        api,
        body(
            colour="red",
            deep={"er": [1, {"x": None}]},
            filter_v1={"protocol": 6, "vlan": 7},
        ),
    )
    assert answer.status == 200, answer.body
    messages = answer.json["messages"]
    assert {m["code"] for m in messages} == {UNKNOWN_FIELD}
    assert len(messages) == 3
    said = " ".join(m["message"] for m in messages)
    for name in ("colour", "deep", "vlan"):
        assert name in said
    assert "colour" not in answer.result


# -- the filter ---------------------------------------------------------------


@pytest.mark.parametrize(
    "filter_v1",
    [
        {},
        {"source_address": "192.0.2.1"},
        {"destination_address": "255.255.255.255"},
        {"source_address": "2001:db8::1"},
        {"source_address": "2001:DB8::1", "destination_address": "::"},
        {"source_port": 0},
        {"source_port": 65535},
        {"destination_port": 0},
        {"destination_port": 65535},
        {"protocol": 0},
        {"protocol": 255},
        {"protocol": 6, "source_port": 80, "destination_port": 443},
        {
            "source_address": "1.2.3.4",
            "destination_address": "5.6.7.8",
            "source_port": 1,
            "destination_port": 2,
            "protocol": 17,
        },
    ],
    ids=str,
)
def test_filters_are_accepted_and_echoed(api, filter_v1):
    job = api.create(filter_v1=filter_v1)
    assert job["filter_v1"] == filter_v1
    assert api.job(job["id"])["filter_v1"] == filter_v1


@pytest.mark.parametrize("name", FILTER_NUMBERS)
def test_filter_numbers_may_be_written_as_60_0(api, name):
    content = json.dumps(body(filter_v1={name: "@"})).replace('"@"', "17.0")
    answer = post(api, content.encode())
    assert answer.status == 200, answer.body
    assert answer.result["filter_v1"] == {name: 17}


@pytest.mark.parametrize("value", [1, "x", [], None, True], ids=repr)
def test_a_filter_must_be_an_object(api, value):
    assert_refused(post(api, body(filter_v1=value)), filter_v1=BAD_TYPE)


@pytest.mark.parametrize("name", ["source_address", "destination_address"])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "01.2.3.4",
        "1.2.3.4/24",
        "1.2.3.4 or tcp",
        " 1.2.3.4",
        "fe80::1%lo",
        "::ffff:192.0.2.1",
        "2001:db8:::1",
        "example.com",
        "any",
        "1.2.3.4\0",
        "x" * 300,
    ],
)
def test_what_is_no_address_is_refused(api, name, value):
    answer = post(api, body(filter_v1={name: value}))
    assert_refused(answer, **{f"filter_v1__{name}": BAD_VALUE})


@pytest.mark.parametrize("name", ["source_address", "destination_address"])
@pytest.mark.parametrize("value", [1, True, None, [], {}], ids=repr)
def test_an_address_must_be_a_string(api, name, value):
    answer = post(api, body(filter_v1={name: value}))
    assert_refused(answer, **{f"filter_v1__{name}": BAD_TYPE})


@pytest.mark.parametrize(
    "name, value",
    [
        ("source_port", -1),
        ("source_port", 65536),
        ("destination_port", -1),
        ("destination_port", 65536),
        ("destination_port", 2**32 + 80),
        ("protocol", -1),
        ("protocol", 256),
    ],
)
def test_filter_numbers_outside_the_bounds_are_refused(api, name, value):
    answer = post(api, body(filter_v1={name: value}))
    assert_refused(answer, **{f"filter_v1__{name}": OUT_OF_RANGE})


@pytest.mark.parametrize("name", FILTER_NUMBERS)
@pytest.mark.parametrize("value", NOT_NUMBERS + ["tcp"], ids=repr)
def test_filter_members_that_are_no_numbers_are_refused(api, name, value):
    answer = post(api, body(filter_v1={name: value}))
    assert_refused(answer, **{f"filter_v1__{name}": BAD_TYPE})


@pytest.mark.parametrize("name", FILTER_NUMBERS)
def test_a_filter_member_with_a_fraction_is_refused(api, name):
    answer = post(api, body(filter_v1={name: 1.5}))
    assert_refused(answer, **{f"filter_v1__{name}": BAD_VALUE})


@pytest.mark.parametrize("port", ["source_port", "destination_port"])
@pytest.mark.parametrize("protocol", [1, 47, 58, 0])
def test_a_port_of_a_protocol_without_ports_is_refused(api, port, protocol):
    answer = post(api, body(filter_v1={port: 80, "protocol": protocol}))
    assert answer.status == 400, answer.body
    assert BAD_VALUE in answer.codes
    assert all(p.startswith("/filter_v1") for p in answer.pointers)
    assert answer.pointers


@pytest.mark.parametrize("protocol", [6, 17, 33, 132, 136])
def test_a_port_of_a_protocol_with_ports_is_accepted(api, protocol):
    api.create(filter_v1={"source_port": 80, "protocol": protocol})


@pytest.mark.parametrize(
    "source, destination",
    [("192.0.2.1", "2001:db8::1"), ("2001:db8::1", "192.0.2.1")],
)
def test_addresses_of_two_families_are_refused(api, source, destination):
    answer = post(
        api,
        body(
            filter_v1={
                "source_address": source,
                "destination_address": destination,
            }
        ),
    )
    assert answer.status == 400, answer.body
    assert BAD_VALUE in answer.codes
    assert all(p.startswith("/filter_v1") for p in answer.pointers)
    assert answer.pointers


# -- the body as such ---------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b" ",
        b"{",
        b"{}}",
        b'{"type": simple}',
        b'{"type": "simple",}',
        b"{'type': 'simple'}",
        b"nonsense",
        b"type=simple&system=magic-transit",
        b'{"a": "\xff"}',
        b'{"a": "\x01"}',
        b'{"a": NaN}',
        b'{"a": 01}',
        b'{"a": "\\ud800"}',
        b'// remark\n{"type": "simple"}',
        b"\xef\xbb\xbf\xfe",
    ],
    ids=lambda content: repr(content[:30]),
)
def test_an_unparsable_body_is_refused_with_the_position(api, content):
    answer = post(api, content)
    assert answer.status == 400, answer.body
    assert answer.codes == [BAD_JSON]
    assert re.search(r"\b(byte|line|column|position)\b.*\d", answer.text)


@pytest.mark.parametrize("content", [b"[" * 2000, b'{"a":' * 500])
def test_a_body_nested_too_deep_is_refused(api, content):
    answer = post(api, content)
    assert answer.status == 400, answer.body
    assert answer.codes == [BAD_JSON]
    assert "nested deeper than" in answer.text


def test_an_empty_body_is_refused(api):
    answer = post(api, b"")
    assert answer.status == 400, answer.body
    assert answer.codes == [BAD_JSON]
    assert "empty" in answer.text


@pytest.mark.parametrize(
    "content", [b"[]", b"null", b"1", b'"simple"', b"true", b"[{}]"]
)
def test_json_that_is_no_object_is_refused(api, content):
    answer = post(api, content)
    assert answer.status == 400, answer.body
    assert answer.codes == [BAD_TYPE]


def test_a_key_given_twice_is_refused(api):
    content = json.dumps(body())[:-1] + ', "packet_limit": 1}'
    answer = post(api, content.encode())
    assert answer.status == 400, answer.body


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "nonsense",
        "",
    ],
)
def test_a_wrong_content_type_is_no_fault(api, content_type):
    content = json.dumps(body()).encode()
    answer = post(api, content, Content_Type=content_type)
    assert answer.status == 200, answer.body


def test_no_content_type_is_no_fault(api):
    assert post(api, json.dumps(body()).encode()).status == 200


def test_a_body_of_the_largest_size_is_accepted(api):
    content = json.dumps(body()).encode().ljust(4096)
    assert post(api, content).status == 200


def test_a_larger_body_is_413(api):
    content = json.dumps(body()).encode().ljust(4097)
    answer = post(api, content)
    assert answer.status == 413, answer.body
    assert answer.codes == [20002]
