"""What operators see of comparisons: a run with its differences, and one line of the house."""

from __future__ import annotations

from typing import Any

from actors.house import House
from actors.reconcil_words import Progress, RunView
from actors.runtime.clock import moment


def view(house: House, run: Progress, after: int, limit: int) -> RunView:
    """A run as it stands, with the named differences after a position."""
    poster, tally = house.posters.get(run.system), run.tally
    items = run.named[after : after + limit]
    return RunView(
        number=run.number,
        kind=run.kind,
        system=run.system,
        who=run.who,
        state=run.state,
        how=run.how,
        started_at=_iso(run.started_at),
        ended_at=_iso(run.ended_at),
        calls=run.calls,
        intents=tally.intents,
        documents=tally.documents,
        matched=tally.matched,
        refused=tally.refused,
        for_people=tally.for_people,
        open=tally.open,
        moving=tally.moving,
        differences=run.differences,
        kinds=dict(run.kinds),
        items=items,
        next=after + len(items),
        ledger=sum(count for (system, _, _), count in house.store.counters.calls.items() if system == run.system),
        seconds_a_call=poster.errands.seconds_a_call if poster is not None else None,
        waits_for=run.waits_for,
        why=run.why,
    )


def overview(house: House) -> dict[str, Any]:
    """What is looked at after a restore, strays, and how the last comparison of each system ended."""
    reconciler = house.reconciler
    if reconciler is None:
        return {"reconciling": {}, "strays": {}, "last": []}
    last = {run.system: run for run in reconciler.runs}
    return {
        "reconciling": house.reconciling(),
        "strays": {name: poster.first_looks.strays for name, poster in house.posters.items()},
        "last": [
            {
                "system": run.system,
                "kind": run.kind,
                "state": run.state,
                "intents": run.tally.intents,
                "differences": run.differences,
                "at": _iso(run.ended_at or run.started_at),
            }
            for run in last.values()
        ],
    }


def _iso(at: int | None) -> str | None:
    return None if at is None else moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
