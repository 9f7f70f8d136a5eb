"""A daemon before an ERP that asks for a rest, and before one that allows less than it published: judged by its log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.support.world import World, adjustment, until, world

SECOND_NS = 1_000_000_000
REST_SECONDS = 3
IN_FLIGHT_NS = 100_000_000
"""Calls that left before the refusal was heard have arrived after so long."""


def ended(house: World) -> list[dict[str, Any]]:
    """Calls that the ERP has answered, by arrival."""
    return sorted(house.ended(), key=lambda line: line["arrived_ns"])


def send(house: World, name: str, count: int) -> None:
    house.send([adjustment(f"{name}-{n}", f"acc-{n}") for n in range(count)])


def metrics(house: World) -> str:
    return httpx.get(f"{house.daemon.url}/metrics", trust_env=False).text


def all_posted(house: World, count: int) -> None:
    until(lambda: len(house.erp.documents()) == count, f"{count} documents", 60)


def test_a_rest_that_was_asked_for_is_kept_explained_and_ended_by_one_probe(tmp_path: Path) -> None:
    with world(tmp_path, ("60/1s", "12 concurrent"), "80") as house:
        house.erp.set_faults({"kind": "throttle_429", "retry_after": str(REST_SECONDS), "count": 1, "skip": 20})
        send(house, "rest", 120)
        until(lambda: any(line["status"] == 429 for line in ended(house)), "the refusal")

        with house.client() as client:
            gate = until(
                lambda: found if (found := client.overview()["gate"])["closed"] else None, "the gate is closed"
            )
            waiting = client.process("rest-119")["explanation"]
            told = client.overview()["changes"]
        assert gate["until"] is not None
        assert waiting["state"] == "erp_rests"
        assert "429" in waiting["sentence"]
        assert f"asked for {REST_SECONDS} s" in waiting["sentence"]
        assert gate["until"] in waiting["sentence"]
        assert [one["frozen_until"] for one in told if "frozen_until" in one] == [gate["until"]]
        assert "tidegate_erp_refusals_total 1.0" in metrics(house)

        all_posted(house, 120)
        calls = ended(house)
        refusal = next(line for line in calls if line["status"] == 429)
        rest_ns = refusal["ended_ns"] + REST_SECONDS * SECOND_NS
        assert [c for c in calls if refusal["ended_ns"] + IN_FLIGHT_NS < c["arrived_ns"] < rest_ns] == []
        probe, *back = [call for call in calls if call["arrived_ns"] >= rest_ns]
        assert all(call["arrived_ns"] > probe["ended_ns"] for call in back), "the probe goes alone"
        for call in back[:40]:
            fine = sum(other["ended_ns"] < call["arrived_ns"] for other in back)
            assert call["concurrent"] <= 2 + fine, "the rest comes back step by step"
        assert max(line["concurrent"] for line in calls) <= 12


def test_an_erp_that_allows_less_than_it_published_is_found_out_in_disguise_and_remembered(tmp_path: Path) -> None:
    disguise = {"kind": "style", "vendor": "netsuite"}
    with world(tmp_path, ("8 concurrent",), "80..120", TIDEGATE_ERP__SIGNALS="netsuite") as house:
        house.erp.set_faults(disguise, {"kind": "limits", "limits": ["3 concurrent"]})
        send(house, "less", 60)
        all_posted(house, 60)
        refused = [line for line in ended(house) if line["code"] == "SSS_REQUEST_LIMIT_EXCEEDED"]
        assert 1 <= len(refused) <= 10
        assert {line["status"] for line in refused} == {400}
        with house.client() as client:
            overview = client.overview()
        (limit,) = overview["limits"]
        assert (limit["limit"], limit["ceiling"]) == ("concurrent", 8)
        assert limit["effective"] in (3, 4), "3, or one more on trial"
        assert any("SSS_REQUEST_LIMIT_EXCEEDED" in change["why"] for change in overview["changes"])
        assert "tidegate_budget_ceiling" in metrics(house)

        house.daemon.kill()
        house.daemon.start()
        send(house, "more", 20)
        all_posted(house, 80)
        again = [line for line in ended(house) if line["code"] == "SSS_REQUEST_LIMIT_EXCEEDED"]
        assert len(again) <= len(refused) + 1, "it was learned once; a trial may cost one more"
