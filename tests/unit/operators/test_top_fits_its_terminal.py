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
    assert shown == min(20, max(height - 16 - 2, 3))


def test_it_says_when_all_is_done_what_is_closed_and_when_a_long_limit_is_dry() -> None:
    text = "\n".join(drawn(120, 60))
    assert "all but what is stopped done by 2026-03-02 01:30" in text
    assert "frozen: too many" in text
    assert "16:00:00" in text
    assert "1 h 01 min" in text


def test_the_picture_for_the_documents_loads_nothing_from_elsewhere() -> None:
    svg = top_svg(TOP)
    assert svg.startswith("<svg")
    assert "url(" not in svg.replace("url(#", "")
