"""`tidegate top`: what moves just now, as a screen that fits itself to the terminal, or as plain text without one."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ops.client import Client, DaemonAway

_FIXED_LINES = 16
"""Lines that everything but the tenants takes at least."""
_BAR = 18


def run_top(client: Client, once: bool, every_seconds: float) -> None:
    """Show it until Ctrl-C; once, if asked so or if nobody looks (no terminal).

    Raises:
        DaemonAway, Refused: before the first picture. Later, a daemon that is away is shown and waited for.
    """
    console = Console()
    picture = Picture(client.look("top"))
    if once or not console.is_terminal:
        console.print(picture)
        return
    try:
        with Live(picture, console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.refresh()
                time.sleep(every_seconds)
                try:
                    picture = Picture(client.look("top"))
                except DaemonAway as away:
                    picture = Picture(picture.top, str(away))
                live.update(picture)
    except KeyboardInterrupt:
        return


class Picture:
    """One moment, drawn for whatever size there is when it is drawn."""

    def __init__(self, top: dict[str, Any], trouble: str | None = None, spaced: bool = False) -> None:
        """`spaced`: an empty line between the parts, where there is room for that."""
        self.top = top
        self._trouble = trouble
        self._spaced = spaced

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """All of it, with as many tenants as the height leaves room for."""
        top = self.top
        height = options.height if options.height is not None else 10_000
        plans, windows = top.get("plans", []), top.get("windows", [])
        taken = sum(len(part) + 2 for part in (plans, windows) if part)
        rows = max(height - _FIXED_LINES - len(top["budgets"]) - len(top["orders"]) - taken, 3)
        parts: list[RenderableType] = [_head(top, self._trouble), _lanes(top), _budgets(top)]
        if plans:
            parts.append(_plans(plans, top["at"]))
        if top["tenants"]:
            parts.append(_tenants(top["tenants"][:rows]))
        if top["orders"]:
            parts.append(_orders(top["orders"]))
        if windows:
            parts.append(_windows(windows, top["at"]))
        parts.append(_actors(top["actors"]))
        yield Group(*([line for part in parts for line in (part, "")][:-1] if self._spaced else parts))


def _head(top: dict[str, Any], trouble: str | None) -> Text:
    ready = Text("ready", "green") if top["ready"] else Text("not ready", "bold red")
    waiting = sum(lane["waiting"] for lane in top["lanes"])
    stopped = any(order["verb"] in ("pause", "hold") for order in top["orders"])
    whole = "all but what is stopped" if stopped else "all"
    pace = sum(lane["per_second"] for lane in top["lanes"])
    line = Text.assemble(
        ("tidegate ", "bold"), ready, f"  {top['at']}  {waiting:,} waiting  {pace:.1f}/s  {whole} done by ",
        (_when(top["eta"], top["at"]) if waiting else "now", "bold"),
    )  # fmt: skip
    if top["exceptions"]:
        line.append(f"  {top['exceptions']} exceptions", "yellow")
    if top["closed"]:
        line.append(f"\n{top['system']}: {top['closed']}", "yellow")
    if trouble:
        line.append(f"\n{trouble}", "bold red")
    return line


def _lanes(top: dict[str, Any]) -> Table:
    table = _table("lanes", "lane", "waiting>", "in flight>", "unknown>", "per second>", "oldest>", "done by>")
    for row in top["lanes"]:
        style = "red" if row["unknown"] else ""
        table.add_row(
            row["lane"],
            f"{row['waiting']:,}",
            str(row["in_flight"]),
            Text(str(row["unknown"]), style),
            f"{row['per_second']:.1f}",
            _age(row["oldest_seconds"]),
            _when(row["eta"], top["at"]) if row["waiting"] else "-",
        )
    return table


def _budgets(top: dict[str, Any]) -> Table:
    table = _table(f"budget of {top['system']}", "limit", "use", "used>", "of>", "runs out>", "room at>")
    for row in top["budgets"]:
        share = row["used"] / row["limit"] if row["limit"] else 1.0
        style = "red" if share >= 1 else "yellow" if share >= 0.8 else "green"
        filled = min(round(share * _BAR), _BAR)
        table.add_row(
            row["name"],
            Text("#" * filled + "." * (_BAR - filled), style),
            str(row["used"]),
            str(row["limit"]),
            _when(row["run_out"], top["at"]),
            _when(row["free_at"], top["at"]),
        )
    return table


def _tenants(rows: list[dict[str, Any]]) -> Table:
    table = _table("tenants that wait longest", "tenant", "waiting>", "oldest>", "weight>")
    for row in rows:
        table.add_row(row["tenant"], f"{row['waiting']:,}", _age(row["oldest_seconds"]), str(row["weight"]))
    return table


def _plans(rows: list[dict[str, Any]], now: str) -> Table:
    """One line for each long limit: what is spent, at which pace work comes, and when it will be dry."""
    table = _table(
        "plan of long limits", "limit", "spent>", "new an hour>", "will be dry>", "then waiting>", "room from>"
    )
    for row in rows:
        dry = Text(_when(row["dry_at"], now), "yellow") if row["dry_at"] else Text("it lasts", "green")
        short = f"{row['short']:,}" if row["dry_at"] else "-"
        free = _when(row["free_at"], now)
        table.add_row(row["limit"], f"{row['used']:,}", f"{row['pace_per_hour']:,.0f}", dry, short, free)
    return table


def _windows(rows: list[dict[str, Any]], now: str) -> Table:
    table = _table("windows", "kind", "window", "now", "from", "to")
    here = datetime.fromisoformat(now)
    for row in rows:
        is_open = datetime.fromisoformat(row["begin"]) <= here
        shuts = row["kind"] != "bulk_only"
        state = Text("closed", "yellow") if is_open == shuts else Text("open", "green")
        table.add_row(row["kind"], row["window"], state, _when(row["begin"], now), _when(row["end"], now))
    return table


def _orders(rows: list[dict[str, Any]]) -> Table:
    table = _table("orders in force", "verb", "target", "value", "who", "until", "reason")
    for row in rows:
        value = "" if row["verb"] == "window" else row["value"] or ""
        table.add_row(row["verb"], row["target"], value, row["who"], row["until"] or "", row["reason"])
    return table


def _actors(rows: list[dict[str, Any]]) -> Text:
    troubled = [row for row in rows if row["state"] != "up" or row["starts"] > 1]
    if not troubled:
        return Text(f"{len(rows)} actors up, none restarted", "green")
    text = Text(f"{len(rows) - len(troubled)} of {len(rows)} actors up and never restarted", "yellow")
    for row in troubled:
        text.append(f"\n  {row['path']}: {row['state']}, started {row['starts']} times; {row['last_crash'] or ''}")
    return text


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, expand=False)
    for column in columns:
        table.add_column(
            column.removesuffix(">"), justify="right" if column.endswith(">") else "left", no_wrap=True, style=""
        )
    return table


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _when(at: str | None, now: str) -> str:
    """A moment of today by the clock, another with its date, in UTC."""
    if at is None:
        return "-"
    there, here = datetime.fromisoformat(at), datetime.fromisoformat(now)
    return f"{there:%H:%M:%S}" if there.date() == here.date() else f"{there:%Y-%m-%d %H:%M}"
