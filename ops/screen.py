"""Tables for people: the status of the house, and the story of a key."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from ops.client import Client, DaemonAway


def show_status(overview: dict[str, Any]) -> None:
    """Print once."""
    Console().print(render_status(overview))


def watch_status(client: Client) -> None:
    """Refresh every second until Ctrl-C."""
    try:
        with Live(render_status(client.overview()), refresh_per_second=2) as live:
            while True:
                time.sleep(1)
                try:
                    live.update(render_status(client.overview()))
                except DaemonAway as away:
                    live.update(Panel(str(away), style="red"))
    except KeyboardInterrupt:
        return


def render_status(overview: dict[str, Any]) -> RenderableType:
    """The whole house."""
    messages = overview["messages"]
    head = (
        f"{'[green]ready[/]' if overview['ready'] else '[red]not ready[/]'}  {overview['at']}   "
        f"accepted {messages['accepted']}  duplicates {messages['duplicates']}  handled {messages['handled']}"
    )
    looked = [f"[red]{name}[/]: {why}" for name, why in overview["ledger"]["reconciling"].items()]
    parts: list[RenderableType] = [head, *looked, _calls(overview), _budget(overview)]
    if overview["queues"]:
        parts.append(
            _table("queues with work", ["queue", "ready", "unsettled", "consumers", "paused"], overview["queues"])
        )
    if overview["keys"]:
        parts.append(_table("keys with the longest lines", ["tenant", "lane", "key", "open"], overview["keys"]))
    if overview["orders"]:
        parts.append(
            _table(
                "orders in force", ["verb", "target", "value", "who", "reason", "since", "until"], overview["orders"]
            )
        )
    if overview["exceptions"]:
        parts.append(_table("open exceptions", ["failure", "owner", "open"], overview["exceptions"]))
    troubled = [row for row in overview["actors"] if row["state"] != "up" or row["starts"] > 1]
    if troubled:
        parts.append(_table("actors to look at", ["path", "state", "starts", "last_crash"], troubled))
    return Group(*parts)


def _calls(overview: dict[str, Any]) -> Table:
    columns = ["system", "lane", "waiting", "in_flight", "unknown", "done", "refused", "exception"]
    return _table("calls", columns, overview["calls"])


def _budget(overview: dict[str, Any]) -> RenderableType:
    gate = overview["gate"]
    line = "   ".join(f"{row['name']}: {row['used']} of {row['limit']}" for row in overview["budget"])
    closed = f"   [yellow]{gate['closed']}[/]" if gate["closed"] else ""
    rows = [f"budget  {line}   in flight {gate['in_flight']}{closed}"]
    for one in overview.get("limits", []):
        if one["effective"] < one["ceiling"]:
            seen = f", others use {one['others']}" if one["others"] else ""
            rows.append(f"  {one['limit']}: {one['effective']} of {one['ceiling']} at present{seen}")
    rows += [
        f"  [yellow]{one['why']}[/] until {one['until'] or 'a probe is answered'}" for one in overview.get("rests", [])
    ]
    rows += [f"  {plan['sentence']}" for plan in overview.get("plans", []) if plan["dry_at"]]
    for one in overview.get("calendar", {}).get("closed", []):
        rows.append(f"  [yellow]{one['why']}[/]")
    return "\n".join(rows)


def _table(title: str, columns: list[str], rows: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        number = bool(rows) and isinstance(rows[0].get(column), int)
        table.add_column(column.replace("_", " "), justify="right" if number else "left")
    for row in rows:
        table.add_row(*("" if row.get(column) is None else str(row[column]) for column in columns))
    return table


def show_process(story: dict[str, Any]) -> None:
    """One sentence, then what happened, then the calls."""
    console = Console()
    explanation = story["explanation"]
    console.print(f"[bold]{story['key']}[/]: {explanation['sentence']}", highlight=False)
    owner = explanation.get("owner", "nobody")
    eta = explanation.get("eta")
    console.print(f"owner: {owner}   ETA: {eta or 'none, ' + explanation.get('no_eta', 'it depends on the owner')}")
    if story["milestones"]:
        console.print(_table("what happened", ["at", "process", "name", "actor"], story["milestones"]))
    if story["calls"]:
        columns = ["intent_id", "system", "lane", "status", "attempts", "amount", "document", "reason"]
        console.print(_table("calls", columns, story["calls"]))


def show_exceptions(items: list[dict[str, Any]]) -> None:
    """What waits for a person, and for whom."""
    console = Console()
    if not items:
        console.print("nothing waits for a person")
        return
    columns = ["opened_at", "owner", "failure", "key", "cause"]
    console.print(_table("open exceptions, oldest first", columns, items))


def show_calls(items: list[dict[str, Any]]) -> None:
    """What stands in line."""
    console = Console()
    if not items:
        console.print("no call stands there")
        return
    columns = ["intent_id", "key", "tenant", "lane", "status", "amount", "requested_at", "not_before", "stopped_by"]
    console.print(_table("calls, first things first", columns, items))


def show_found(found: dict[str, Any]) -> None:
    """Everything under a key."""
    console = Console()
    if not (found["messages"] or found["calls"] or found["exceptions"]):
        console.print(f"nothing is known under {found['key']}")
        return
    if found["messages"]:
        columns = ["id", "type", "key", "tenant", "lane", "state", "accepted_at"]
        console.print(_table("messages", columns, found["messages"]))
    if found["calls"]:
        show_calls(found["calls"])
    if found["exceptions"]:
        console.print(_table("open exceptions", ["opened_at", "owner", "failure", "key", "cause"], found["exceptions"]))


def show_audit(items: list[dict[str, Any]]) -> None:
    """Who did what, and why."""
    rows = [{**item, "why": item["cause"] or item["facts"].get("reason")} for item in items]
    columns = ["seq", "at", "actor", "verb", "subject", "why", "policy"]
    Console().print(_table("audit, newest first", columns, rows))


def show_operations(items: list[dict[str, Any]]) -> None:
    """What was done, and what can be undone."""
    rows = [
        {**item, "target": item["effect"]["target"], "undo": "yes" if item["can_be_undone"] else item["undone_at"]}
        for item in items
    ]
    Console().print(_table("operations, newest first", ["at", "operation", "verb", "target", "who", "undo"], rows))
