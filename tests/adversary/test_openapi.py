"""Requests generated from the OpenAPI description, against a real service: none ends in a fault of ours."""

from __future__ import annotations

from contextlib import suppress

import pytest

schemathesis = pytest.importorskip("schemathesis")
hypothesis = pytest.importorskip("hypothesis")

OPERATIONS = [
    ("GET", "/cameras"),
    ("POST", "/cameras"),
    ("GET", "/cameras/{name}"),
    ("PATCH", "/cameras/{name}"),
    ("DELETE", "/cameras/{name}"),
    ("POST", "/cameras/{name}/pause"),
    ("POST", "/cameras/{name}/resume"),
    ("GET", "/changes"),
    ("DELETE", "/changes"),
    ("GET", "/identities"),
    ("GET", "/identities/{global_id}"),
    ("POST", "/identities/{global_id}/rename"),
    ("POST", "/identities/{global_id}/staff"),
    ("POST", "/identities/{global_id}/merge"),
    ("POST", "/identities/{global_id}/different"),
    ("POST", "/identities/{global_id}/split"),
    ("POST", "/identities/{global_id}/forget"),
    ("GET", "/corrections"),
    ("POST", "/corrections/undo"),
    ("GET", "/review"),
    ("POST", "/review/answers"),
    ("POST", "/uploads/search"),
    ("POST", "/calibrations"),
    ("GET", "/cameras-file"),
    ("POST", "/cameras-file"),
    ("GET", "/places"),
    ("GET", "/plan"),
    ("GET", "/plan/picture"),
    ("POST", "/plan/scale"),
    ("POST", "/uploads/plan"),
    ("GET", "/zones"),
    ("POST", "/zones"),
    ("GET", "/zones/{name}"),
    ("PATCH", "/zones/{name}"),
    ("DELETE", "/zones/{name}"),
    ("POST", "/lines"),
    ("GET", "/lines/{name}"),
    ("PATCH", "/lines/{name}"),
    ("DELETE", "/lines/{name}"),
    ("GET", "/counts"),
    ("GET", "/flows"),
    ("GET", "/"),
    ("GET", "/run"),
    ("GET", "/metrics"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
]
ENDLESS = [("GET", "/events"), ("POST", "/camera-searches"), ("POST", "/camera-streams"), ("POST", "/camera-tests")]
"""Not tried here: there is no end of the answer to wait for, or each one takes seconds."""

EXAMPLES = 25


@pytest.fixture(scope="module")
def schema(disturbed):
    return schemathesis.openapi.from_url(f"{disturbed.address}/openapi.json")


def test_every_operation_is_tried(schema):
    described = [operation.ok() for operation in schema.get_all_operations()]
    assert sorted((o.method.upper(), o.path) for o in described) == sorted(OPERATIONS + ENDLESS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=str)
@pytest.mark.parametrize("kind", ["positive", "negative"])
def test_no_request_ends_in_a_fault_of_ours(disturbed, schema, method, path, kind):
    operation = schema[path][method]
    mode = schemathesis.GenerationMode(kind)

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def run(case):
        if isinstance(case.body, dict) and "://" in str(case.body.get("uri", "")):
            case.body["uri"] = "rtsp://127.0.0.1:9/x"  # nothing but this machine is asked
        answer = case.call(timeout=20)
        assert answer.status_code < 500, (answer.status_code, case.as_curl_command())
        if answer.status_code >= 400 and path not in ("/healthz", "/readyz"):
            assert list(answer.json()) == ["error"]

    with suppress(hypothesis.errors.Unsatisfiable):  # some operations take nothing that could be sent wrongly
        run()
    assert disturbed.probe()[0] == 200
