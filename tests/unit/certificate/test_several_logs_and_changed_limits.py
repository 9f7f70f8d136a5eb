"""Several systems at once, limits that change in mid-run, the page, and what the command line makes of them."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.certificate import Certificates, Held, WrongUse, certify_all, chain_holds, seal_holds
from ops.certificate.cli import main
from ops.certificate.limits import LimitTrack
from ops.certificate.piecewise import worst_rate_by_last_call
from tests.unit.certificate.logs import SECOND, Certify, accepted, header, post, write

RATE = ({"kind": "rate", "limit": 10, "seconds": 1},)


def changed(at_ns: int, limit: int) -> dict[str, Any]:
    return {"event": "limits", "at_ns": at_ns, "limits": [{"kind": "rate", "limit": limit, "seconds": 1}]}


# changed limits -------------------------------------------------------------------------------------------------


def test_after_a_limit_was_lowered_calls_from_before_count_against_the_new_one(certified: Certify) -> None:
    before = [post(1 + n, n) for n in range(10)]
    early = [header(RATE), *before, changed(SECOND // 2, 4), post(11, SECOND // 2 + 1)]
    assert certified(early).verdict == "FAIL"
    drained = [header(RATE), *before, changed(SECOND // 2, 4), post(11, SECOND + 10)]
    assert certified(drained).verdict == "PASS"


def test_calls_before_a_limit_was_raised_keep_the_old_one(certified: Certify) -> None:
    before = [post(1 + n, n) for n in range(12)]
    assert certified([header(RATE), *before, changed(SECOND // 2, 40), post(13, SECOND // 2 + 1)]).verdict == "FAIL"
    late = [post(11 + n, SECOND // 2 + 1 + n) for n in range(25)]
    assert certified([header(RATE), *before[:10], changed(SECOND // 2, 40), *late]).verdict == "PASS"


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=40).map(sorted),
    st.integers(1, 20),
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(1, 59),
)
def test_each_window_is_held_to_the_limit_at_its_last_call(
    arrivals: list[int], window_ns: int, first: int, then: int, change_ns: int
) -> None:
    track = LimitTrack("rate", window_ns / SECOND)
    track.change(-1, first)
    track.change(change_ns, then)
    worst = worst_rate_by_last_call(arrivals, track)
    over = 0
    least = min(
        (then if last >= change_ns else first) - sum(last - window_ns < other <= last for other in arrivals)
        for last in arrivals
    )
    for last in sorted(set(arrivals)):
        over += sum(last - window_ns < other <= last for other in arrivals) > (then if last >= change_ns else first)
    assert worst.allowed - worst.worst == least
    assert worst.violations == over


# several logs ---------------------------------------------------------------------------------------------------


def two_logs(folder: Path) -> list[Path]:
    first = [header(RATE, profile="xero"), *(post(1 + n, n * SECOND) for n in range(3))]
    second = [header(RATE, profile="netsuite"), *(post(1 + n, n, source_document=f"inv-{n}") for n in range(11))]
    return [write(folder / "xero.jsonl", first), write(folder / "netsuite.jsonl", second)]


def test_each_log_has_its_certificate_and_they_are_one_chain(tmp_path: Path) -> None:
    found = certify_all(two_logs(tmp_path), [], Held())
    assert [(one.profile, one.verdict) for one in found.certificates] == [("xero", "PASS"), ("netsuite", "FAIL")]
    assert found.verdict == "FAIL"
    assert chain_holds(found)
    assert all(seal_holds(one) for one in found.certificates)
    assert not chain_holds(msgspec.structs.replace(found, certificates=found.certificates[::-1]))


def test_one_list_for_all_is_divided_by_system_and_by_what_the_logs_know(tmp_path: Path) -> None:
    rows = [accepted(n) for n in range(1, 4)]
    rows += [accepted(9 + n, id=f"inv-{n}", key=f"inv-{n}", reference=None) for n in range(11)]
    rows.append(accepted(30, id="lost", key="lost", reference=None, system="netsuite"))
    found = certify_all(two_logs(tmp_path), [write(tmp_path / "accepted.jsonl", rows)], Held())
    assert found.certificates[0].verdict == "PASS"
    assert any("message lost was told posted" in reason for reason in found.certificates[1].reasons)
    with pytest.raises(WrongUse, match="3 accepted lists for 2 logs"):
        certify_all(two_logs(tmp_path), [tmp_path / "accepted.jsonl"] * 3, Held())


def test_the_command_certifies_several_logs_and_says_how_many_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = [str(path) for path in two_logs(tmp_path)]
    assert main(logs) == 1
    assert "CERTIFICATES: FAIL: 1 of 2 logs pass" in capsys.readouterr().out
    assert main([*logs, "--json"]) == 1
    assert chain_holds(msgspec.json.decode(capsys.readouterr().out, type=Certificates))


# the page -------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Sees whether tags are balanced, and whether anything is loaded from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_what_the_certificate_says_and_loads_nothing(tmp_path: Path) -> None:
    rows = [accepted(n, tenant="<acme>") for n in range(1, 4)]
    html = tmp_path / "certificate.html"
    accepted_list = write(tmp_path / "accepted.jsonl", rows)
    assert main([*map(str, two_logs(tmp_path)), "--accepted", str(accepted_list), "--html", str(html)]) == 1
    page = Page(html.read_text("utf-8"))
    assert (page.open, page.loads) == ([], [])
    for text in ("Certificate: FAIL", "xero: PASS", "netsuite: FAIL", "10 calls in any 1 s", "<acme>", "over 1x"):
        assert text in page.text


def test_house_terms_are_known_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = two_logs(tmp_path)
    rows = write(tmp_path / "accepted.jsonl", [accepted(n) for n in range(1, 4)])
    assert main([str(logs[0]), "--accepted", str(rows), "--terms", "house"]) == 0
    assert "1 round + 1 call" in capsys.readouterr().out
    assert main([str(logs[0]), "--terms", str(tmp_path / "absent")]) == 2
