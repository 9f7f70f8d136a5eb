"""Limits changed in mid-run by command: enforced from then on, told by `GET /limits`, and written into the log."""

import json

import pytest

from ops.certificate import certify
from ops.sandbox.process import SandboxError

from .client import Start


def test_other_limits_hold_from_the_command_on_and_count_what_was_before(start: Start) -> None:
    erp = start("custom", limits=["100/60s"])
    for number in range(3):
        assert erp.post(f"before-{number}").status == 201
    erp.erp.set_limits("5/60s", "5 concurrent")
    assert [one["limit"] for one in erp.call("GET", "/limits").json["limits"]] == [5, 5]
    assert erp.post("one-more").status == 201
    assert erp.post("too-many").status == 429


def test_the_log_tells_the_change_and_the_certificate_judges_by_it(start: Start) -> None:
    erp = start("custom", limits=["2/60s"])
    for number in range(2):
        erp.post(f"before-{number}")
    erp.erp.set_limits("6/60s")
    for number in range(4):
        assert erp.post(f"after-{number}").status == 201
    (change,) = [line for line in erp.erp.log_lines() if line.get("event") == "limits"]
    assert change["limits"] == [{"kind": "rate", "limit": 6, "seconds": 60}]
    certificate = certify(erp.erp.log_path)
    assert (certificate.verdict, certificate.limits[0].worst, certificate.limits[0].limit) == ("PASS", 6, 6)
    erp.erp.set_limits("6/60s", "3 concurrent")
    erp.post("one-too-many")
    assert certify(erp.erp.log_path).verdict == "FAIL"


def test_limits_that_make_no_sense_change_nothing(start: Start) -> None:
    erp = start("custom", limits=["2/60s"])
    with pytest.raises(SandboxError, match="stay as they were") as refused:
        erp.erp.set_limits("many")
    assert json.loads(str(refused.value))["status"] == 422
