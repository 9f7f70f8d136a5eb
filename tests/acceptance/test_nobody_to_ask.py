"""A lost answer of an ERP that cannot be asked: it is sent again once that is safe, and nobody brings that forward."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.test_operators_steer_waiting_work import call, done, refused
from tests.support.daemon import BATCH, adjustment, site, until


def test_what_may_still_be_done_is_not_moved_before_it_cannot_be_any_more(tmp_path: Path) -> None:
    unasked = {"TIDEGATE_ERP__FINDS": "false", "TIDEGATE_ERP__LATE_SECONDS": "3600"}
    with site(tmp_path, TIDEGATE_ERP__TIMEOUT_SECONDS="1", **unasked) as own:
        own.erp.set_faults({"kind": "lost_answer", "count": 1})
        own.post([adjustment("doubt", "doubt")], BATCH)
        until(lambda: "may still do it" in call(own, "INT-doubt").get("reason", ""), "it waits out the first send")
        before = call(own, "INT-doubt")["not_before"]
        assert refused(own, "move", keys=["INT-doubt"], not_before="2026-01-01T00:00:00Z") == "operation.nothing"
        assert call(own, "INT-doubt")["not_before"] == before
        done(own, "move", keys=["INT-doubt"], not_before="2040-01-01T00:00:00Z")
        assert call(own, "INT-doubt")["not_before"] == "2040-01-01T00:00:00.000Z"
        assert len([line for line in own.erp.documents() if line.reference == "INT-doubt"]) == 1
