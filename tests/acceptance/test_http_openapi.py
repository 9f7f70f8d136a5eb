"""The OpenAPI document is true: what it describes is there, and what is there fits what it describes."""

from collections.abc import Callable
from typing import Any

import pytest

from actors.doors.http import describe, forecasts, health, ledger, messages, ops, reading
from tests.support.daemon import BATCH, Site, adjustment, case

spec_validator = pytest.importorskip("openapi_spec_validator")
referencing = pytest.importorskip("referencing.jsonschema")
jsonschema = pytest.importorskip("jsonschema")

Check = Callable[[str, Any], list[str]]


@pytest.fixture(scope="module")
def described(shared_site: Site) -> dict[str, Any]:
    document: dict[str, Any] = shared_site.get("/openapi.json").json()
    return document


@pytest.fixture(scope="module")
def misfits(described: dict[str, Any]) -> Check:
    """What does not fit the named schema of the document."""
    from referencing import Registry, Resource

    resource = Resource(contents=described, specification=referencing.DRAFT202012)
    registry = Registry().with_resource("urn:document", resource)

    def check(schema: str, value: Any) -> list[str]:
        reference = {"$ref": f"urn:document#/components/schemas/{schema}"}
        validator = jsonschema.Draft202012Validator(reference, registry=registry)
        return [error.message for error in validator.iter_errors(value)]

    return check


def test_the_document_is_valid_openapi(described: dict[str, Any]) -> None:
    spec_validator.validate(described)


def test_every_route_is_described_and_every_description_has_a_route(described: dict[str, Any]) -> None:
    verbs = [*ops.HANDLERS, *ledger.HANDLERS, *forecasts.HANDLERS]
    handlers = [*reading.HANDLERS, *verbs, *health.HANDLERS, *describe.HANDLERS]
    served = {(messages.PATH, "post")}
    for handler in handlers:
        for path in handler.paths:
            plain = path.replace(":path}", "}").replace(":str}", "}")
            served |= {(plain, method.lower()) for method in handler.http_methods}
    told = {(path, method) for path, methods in described["paths"].items() for method in methods}
    assert told == served


def test_what_the_door_takes_fits_and_what_it_refuses_does_not(misfits: Check) -> None:
    for taken in (case("x"), adjustment("x", "k"), {**case("x"), "myext": "y", "subject": None}):
        assert misfits("Message", taken) == []
    assert misfits("MessageBatch", [case("x"), adjustment("x", "k")]) == []
    for refused in (
        case("x", tier="gold"),
        case("x", case_id=None),
        adjustment("x", "k", acount_id="A"),
        {**case("x"), "type": "other"},
        {**case("x"), "myext": {"no": "object"}},
    ):
        assert misfits("Message", refused) != []
    assert misfits("MessageBatch", []) != []


def test_answers_fit_what_is_described(shared_site: Site, misfits: Check) -> None:
    assert misfits("Receipt", shared_site.post(case("fit")).json()) == []
    assert misfits("BatchReceipt", shared_site.post([case("fit"), case("fit-2")], BATCH).json()) == []
    assert misfits("Problem", shared_site.post(b"{}").json()) == []
    assert misfits("MessageView", shared_site.get("/v1/messages/case-fit").json()) == []
    assert misfits("ProcessView", shared_site.get("/v1/processes/CASE-fit").json()) == []
    assert misfits("OutcomePage", shared_site.get("/v1/outcomes").json()) == []
    assert misfits("Readiness", shared_site.get("/readyz").json()) == []
    assert misfits("Overview", shared_site.client().overview()) == []
    assert misfits("ForecastView", shared_site.client().forecast("rate 5/s")) == []
    assert misfits("TruthView", shared_site.client().truth(1)) == []
    order = {"target": "all", "reason": "look", "who": "test", "dry_run": True}
    assert misfits("Command", order) == []
    assert misfits("Effect", shared_site.operate("pause", order).json()) == []


def test_operator_verbs_need_the_token_and_nothing_else_does(described: dict[str, Any]) -> None:
    for path, methods in described["paths"].items():
        for operation in methods.values():
            assert ("security" in operation) == path.startswith(("/v1/ops/", "/v1/forecast"))
    assert described["components"]["securitySchemes"]["operatorToken"]["scheme"] == "bearer"
