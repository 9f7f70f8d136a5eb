"""Where it is set so, HTTP takes an adjustment from people of finance only; by default it takes it from anybody."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.process import ROOT
from tests.support.daemon import BATCH, Site, adjustment, case, check_problem, site, until

TOKENS = {"anna": "the-token-of-anna-of-finance", "sam": "the-token-of-sam-of-support"}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    place = tmp_path_factory.mktemp("strict")
    for name, token in TOKENS.items():
        (place / name).write_text(token)
    named = f"anna as finance-clerk with {place}/anna,sam as support-lead with {place}/sam"
    with site(place, TIDEGATE_OPERATORS__NAMED=named, TIDEGATE_APPROVAL__DIRECT_NEEDS_FINANCE="true") as running:
        yield running


def signed(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[name]}"}


@pytest.mark.parametrize(("headers", "status", "code"), [
    ({}, 401, "auth.missing"), ({"Authorization": "Bearer x"}, 401, "auth.invalid"),
    (signed("sam"), 403, "approval.direct"),
])  # fmt: skip
def test_who_is_not_of_finance_sends_no_adjustment_alone_or_in_a_batch(
    strict: Site, headers: dict[str, str], status: int, code: str
) -> None:
    before = strict.accepted()
    answer = strict.post(adjustment("no", "no"), **headers)
    check_problem(answer.json(), status)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    answer = strict.post([case("beside"), adjustment("no", "no")], BATCH, **headers)
    assert (answer.json()["code"], answer.json()["path"]) == (code, "/1")
    assert strict.accepted() == before, "a batch is taken whole or not at all"


def test_people_of_finance_send_adjustments_and_cases_need_no_token(strict: Site, tmp_path: Path) -> None:
    assert strict.post(adjustment("yes", "yes"), **signed("anna")).status_code == 202
    assert strict.post(case("free")).status_code == 202
    file = tmp_path / "one.json"
    file.write_text(json.dumps(adjustment("file", "file")))
    command = [sys.executable, str(ROOT / "run.py"), "--data", str(strict.daemon.data), "enqueue", str(file)]
    environ = {"TIDEGATE_URL": strict.daemon.url, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    assert "auth.missing" in subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60).stderr
    token = tmp_path / "token"
    token.write_text(TOKENS["anna"])
    environ["TIDEGATE_TOKEN_FILE"] = str(token)
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60)
    assert "1 accepted" in done.stdout, done.stderr
    keys = [event["data"]["source_document"] for event in (adjustment("yes", "yes"), adjustment("file", "file"))]
    for key in keys:
        until(lambda key=key: strict.documents(key), "it is posted")


def test_by_default_whoever_reaches_the_door_sends_adjustments(shared_site: Site) -> None:
    assert shared_site.post(adjustment("anybody", "anybody")).status_code == 202
