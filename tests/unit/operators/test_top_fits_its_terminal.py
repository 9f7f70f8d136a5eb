"""The picture of `top` fits the terminal it is drawn on, and says what matters on the smallest."""

import io
from typing import Any

import pytest
from rich.console import Console

from ops.pictures.draw import top_svg
from ops.top import Picture

TOP: dict[str, Any] = {
    "at": "2026-03-01T09:00:00Z",
    "ready": True,
    "system": "erp",
    "closed": "frozen: too many",
    "accepted": 10,
    "lanes": [
        {
            "lane": lane,
            "waiting": 1_000,
            "in_flight": 1,
            "unknown": 0,
            "per_second": 3.25,
            "oldest_seconds": 3_700.0,
            "eta": "2026-03-01T10:00:00Z",
        }
        for lane in ("urgent", "standard", "bulk")
    ],
    "budgets": [
        {
            "name": "5000/86400s",
            "used": 4_900,
            "limit": 5_000,
            "window_seconds": 86_400.0,
            "run_out": "2026-03-01T16:00:00Z",
            "free_at": None,
        }
    ],
    "tenants": [{"tenant": f"tenant-{n}", "waiting": n, "oldest_seconds": 5.0, "weight": 1} for n in range(20)],
    "actors": [{"path": "/a", "state": "up", "starts": 1, "last_crash": None}],
    "orders": [{"verb": "pause", "target": "tenant:acme", "value": None, "who": "dana", "reason": "r", "until": None}],
    "plans": [
        {
            "limit": "5000/day",
            "used": 4_900,
            "allowed": 5_000,
            "waiting": 3_000,
            "pace_per_hour": 500.0,
            "dry_at": "2026-03-01T16:00:00Z",
            "free_at": "2026-03-02T08:00:00Z",
            "short": 400,
            "sentence": "a long one",
        }
    ],
    "windows": [
        {"kind": kind, "window": "22:00-06:00", "begin": f"2026-03-0{day}T22:00:00Z", "end": "2026-03-02T06:00:00Z"}
        for kind, day in (("maintenance", 1), ("bulk_only", 1))
    ],
    "exceptions": 2,
    "eta": "2026-03-02T01:30:00Z",
}


def drawn(width: int, height: int) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, height=height)
    console.print(Picture(TOP), height=height)
    return out.getvalue().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), [(60, 24), (80, 24), (100, 30), (200, 60)])
def test_it_is_no_wider_than_the_terminal_and_shows_tenants_as_there_is_room(width: int, height: int) -> None:
    lines = drawn(width, height)
    assert max(map(len, lines)) <= width
    shown = sum("tenant-" in line for line in lines)
    assert shown == min(20, max(height - 16 - 2 - 3 - 4, 3))


def test_it_says_when_all_is_done_what_is_closed_and_when_a_long_limit_is_dry() -> None:
    text = "\n".join(drawn(120, 60))
    assert "all but what is stopped done by 2026-03-02 01:30" in text
    assert "frozen: too many" in text
    assert "16:00:00" in text
    assert "1 h 01 min" in text
    plan = next(line for line in text.splitlines() if line.startswith("5000/day"))
    assert plan.split() == ["5000/day", "4,900", "500", "16:00:00", "400", "2026-03-02", "08:00"]
    states = {line.split()[0]: line.split()[2] for line in text.splitlines() if "22:00-06:00" in line}
    assert states == {"maintenance": "open", "bulk_only": "closed"}


def test_the_picture_for_the_documents_loads_nothing_from_elsewhere() -> None:
    svg = top_svg(TOP)
    assert svg.startswith("<svg")
    assert "url(" not in svg.replace("url(#", "")
