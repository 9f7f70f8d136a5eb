"""The page: whole in one file, the same numbers as the certificate, true curves, safe against what is in the log."""

import re
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.certificate import Certificate, certify, read_accepted, read_log
from ops.report import Mark, ReportPaths, build_report
from ops.report.build import SourceChanged
from ops.report.series import Curves, curves
from ops.report.svg import duration, nice_seconds, nice_ticks
from tests.unit.certificate.logs import SECOND, accepted, header, post, write

Lines = Iterable[Mapping[str, Any]]
START = 100 * SECOND


def files(folder: Path, log: Lines, rows: Lines | None) -> tuple[Path, Path | None]:
    return write(folder / "erp.jsonl", log), None if rows is None else write(folder / "acc.jsonl", rows)


def reported(folder: Path, log: Lines, rows: Lines | None = None, **more: Any) -> ReportPaths:
    erp, told = files(folder, log, rows)
    return build_report(certify(erp, told), erp, told, folder / "out", **more)


def drawn(folder: Path, log: Lines, rows: Lines) -> Curves:
    erp, told = files(folder, log, rows)
    assert told is not None
    return curves(certify(erp, told), read_log(erp), read_accepted(told).rows, [])


def paced(count: int) -> list[dict[str, Any]]:
    return [post(1 + i, START + i * SECOND // 10, START + i * SECOND // 10 + SECOND // 5) for i in range(count)]


def test_the_page_loads_nothing_from_anywhere(tmp_path: Path) -> None:
    rows = [accepted(1 + i, START) for i in range(300)]
    html = reported(tmp_path, [header(), *paced(300)], rows).html.read_text()
    outside = re.sub(r'xmlns="http://www.w3.org/2000/svg"', "", html)
    assert not re.search(r"https?:|//[a-z]|src=|href=|@import|url\(|<script", outside)


def test_the_page_says_the_verdict_and_every_promise(tmp_path: Path) -> None:
    good = reported(tmp_path, [header(), *paced(30)], [accepted(1 + i, START) for i in range(30)])
    assert "✓ PASS" in good.html.read_text()
    bad = reported(tmp_path, [header(), *paced(30), post(31, START)], []).html.read_text()
    assert "✕ FAIL" in bad
    assert "every document was asked for" in bad


def test_the_curves_count_every_call_and_reach_the_worst_window(tmp_path: Path) -> None:
    lines = [*paced(300), post(301, START + 5 * SECOND + 1)]
    found = drawn(tmp_path, [header(), *lines], [])
    assert found.rate is not None
    assert max(found.rate.peak) == 11
    assert sum(found.rate.mean) * found.slice_ns / found.rate.window_ns == pytest.approx(301)
    assert max(found.concurrency) == 3


def test_the_backlog_rises_with_acceptance_and_falls_with_documents(tmp_path: Path) -> None:
    found = drawn(tmp_path, [header(), *paced(300)], [accepted(1 + i, START) for i in range(300)])
    (lane,) = found.lanes
    assert lane.lane == "standard"
    assert lane.backlog == sorted(lane.backlog, reverse=True)
    assert (lane.backlog[-1], len(lane.waits_ns)) == (0, 300)


def test_what_happened_is_marked_by_name(tmp_path: Path) -> None:
    marks = [Mark(START + 3 * SECOND, "daemon killed"), Mark(START + 9 * SECOND, "broker killed")]
    paths = reported(tmp_path, [header(), *paced(200)], events=marks)
    for text in (paths.html.read_text(), paths.svg.read_text()):
        assert "daemon killed" in text
        assert "broker killed" in text


def test_the_chart_file_is_well_formed_and_brings_its_own_colours(tmp_path: Path) -> None:
    svg = reported(tmp_path, [header(), *paced(50)]).svg.read_text()
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme:dark" in svg


@pytest.mark.parametrize(
    "limits", [[{"kind": "concurrent", "limit": 5}], [{"kind": "rate", "limit": 9, "seconds": 60}]]
)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_smallest_runs_have_a_report(tmp_path: Path, limits: Lines, count: int) -> None:
    paths = reported(tmp_path, [header(limits), *paced(count)], [])
    ElementTree.fromstring(paths.svg.read_text())
    assert "FAIL" in paths.html.read_text()


def test_text_from_the_log_cannot_become_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    paths = reported(tmp_path, [header(profile=evil), *paced(3)], [accepted(9, key=evil, lane=evil)])
    parser = Tags()
    parser.feed(paths.html.read_text())
    assert "script" not in parser.tags


class Tags(HTMLParser):
    """Collects the names of the elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)


def test_the_numbers_file_holds_the_certificate_and_the_curves(tmp_path: Path) -> None:
    paths = reported(tmp_path, [header(), *paced(20)])
    numbers = msgspec.json.decode(paths.json.read_bytes())
    assert msgspec.convert(numbers["certificate"], Certificate).documents == 20
    assert len(numbers["curves"]["concurrency"]) == numbers["curves"]["slices"]


def test_the_same_run_gives_the_same_report(tmp_path: Path) -> None:
    first, second = (reported(tmp_path, [header(), *paced(20)]).html.read_bytes() for _ in range(2))
    assert first == second


def test_a_report_about_another_log_is_refused(tmp_path: Path) -> None:
    erp, _ = files(tmp_path, [header(), *paced(20)], None)
    certificate = certify(erp)
    write(erp, [header(), *paced(21)])
    with pytest.raises(SourceChanged, match="the ERP log has sha256"):
        build_report(certificate, erp, None, tmp_path / "out")


@given(st.floats(0.001, 1e9))
def test_axis_ticks_reach_the_highest_value_and_stay_few(highest: float) -> None:
    ticks = list(nice_ticks(highest))
    assert ticks[0] == 0
    assert ticks[-1] >= highest * 0.999
    assert 2 <= len(ticks) <= 7


@given(st.floats(0.001, 1e6))
def test_a_time_axis_has_few_ticks_within_the_run(span: float) -> None:
    ticks = list(nice_seconds(span))
    assert 2 <= len(ticks) <= 9
    assert ticks[-1] <= span * 1.001


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "0.25 s"),
        (42, "42 s"),
        (180, "3 min"),
        (200, "3 min 20 s"),
        (7200, "2 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_are_short_and_plain(seconds: float, text: str) -> None:
    assert duration(seconds) == text
