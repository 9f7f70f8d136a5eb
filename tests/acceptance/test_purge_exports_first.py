"""Purge drops only what no door could accept, and only after it was exported whole."""

import json
import stat
from pathlib import Path
from typing import Any

import anyio
import pytest

from broker.store.rows import ExceptionRow
from broker.store.unit import Unit
from tests.support.daemon import Site, problem_of, site
from tests.support.stores import running_store

WHO = {"reason": "a broken test system", "who": "dana"}


def trouble(key: str, failure: str, **more: Any) -> ExceptionRow:
    facts: dict[str, Any] = {"message_id": key, "intent_id": None, "body": b'{"nope', "opened_at": 1, **more}
    return ExceptionRow(key=key, failure=failure, owner="it", cause="a test", **facts)


async def fill(directory: Path) -> None:
    rows = [
        trouble("garbage-1", "json.syntax"),
        trouble("garbage-2", "json.syntax", body=b"\xff\x00"),
        trouble("approval", "approval_required"),
        trouble("money", "json.syntax", intent_id="INT-1"),
    ]
    async with running_store(directory) as store:
        await store.commit(Unit(1, exceptions=rows))


@pytest.fixture
def own(tmp_path: Path) -> Any:
    with site(tmp_path) as running:
        running.daemon.stop()
        anyio.run(fill, running.daemon.data)
        running.daemon.start()
        yield running


def test_a_purge_is_shown_exported_and_done_and_leaves_money_alone(own: Site) -> None:
    shown = own.operate("purge", {"scope": "failure:json.syntax", "dry_run": True, **WHO}).json()
    assert (shown["keys"], shown["left_alone"]) == (["garbage-1", "garbage-2"], ["INT-1"])
    assert len(own.client().exceptions(50)) == 4
    done = own.operate("commit", {"token": shown["token"], "who": "dana"}).json()
    assert "export" in done, done
    export = Path(done["export"])
    assert stat.S_IMODE(export.stat().st_mode) == 0o600
    rows = [json.loads(line) for line in export.read_text().splitlines()]
    assert [row["key"] for row in rows] == ["garbage-1", "garbage-2"]
    assert rows[0]["body"] == '{"nope'
    assert rows[1]["body_base64"] == "/wA="
    assert [item["key"] for item in own.client().exceptions(50)] == ["approval", "money"]
    for key in ("approval", "money"):
        refusal = own.operate("purge", {"keys": [key], "dry_run": True, **WHO})
        assert problem_of(refusal)["code"] == "operation.money"
    assert problem_of(own.operate("undo", {"operation": done["operation"], **WHO}))["code"] == "operation.no_undo"
