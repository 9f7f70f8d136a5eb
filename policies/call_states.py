"""The life of a call as a machine: which step may follow which, and what must be known for it.

    waiting --sent--> in_flight --answered--> done | refused | waiting (surely not done) | exception
       ^                  |
       |                  +--no answer--> unknown --found--> done
       +------- looked up: not there --------+
                                             +--nobody can tell--> exception --a person--> any but in_flight

A call that waits becomes unknown without being sent when the store is older than it once was: it may be there already.
`done` is what the ledger and the events call posted. Money that is done or refused stays so: a correction is another
call with an intent of its own. From `waiting` it goes to `unknown` when the system may have its document although this
store never sent it (it was put back from a backup): then it is looked up instead.
Nothing leads from `unknown` to `refused`, because whoever does not know may not say no.
"""

from collections.abc import Mapping
from typing import Final

STATES: Final = ("waiting", "in_flight", "done", "refused", "unknown", "exception")
FINAL: Final = frozenset({"done", "refused"})
NEXT: Final[Mapping[str, frozenset[str]]] = {
    "waiting": frozenset({"in_flight", "unknown", "refused"}),
    "in_flight": frozenset({"waiting", "unknown", "done", "refused", "exception"}),
    "unknown": frozenset({"unknown", "waiting", "done", "exception"}),
    "exception": frozenset({"waiting", "unknown", "done", "refused"}),
    "done": frozenset(),
    "refused": frozenset(),
}
_REASONED: Final = frozenset({"refused", "unknown", "exception"})


def wrong_step(was: str, now: str, *, sent: int, document: str | None, reason: str | None) -> str | None:
    """Why a call that is `was` may not become `now`; None if it may.

    `sent`: how often it has been sent; `document`: what the system calls it; `reason`: why, for people.
    """
    if was not in NEXT or now not in NEXT:
        return f"{was!r} to {now!r}: a call is one of {', '.join(STATES)}"
    if now not in NEXT[was]:
        allowed = ", ".join(state for state in STATES if state in NEXT[was]) or "nothing, it is final"
        return f"{was} to {now}: from {was} it goes to {allowed}"
    if now == "done" and not document:
        return f"{was} to done: without the system's document nothing is done"
    if now != "done" and document:
        return f"{was} to {now}: it has the document {document}, so it is done"
    if now in _REASONED and not reason:
        return f"{was} to {now}: the reason is missing"
    if now == "in_flight" and sent < 1:
        return f"{was} to in_flight: the sending is not counted"
    if was == "waiting" and now == "refused" and sent:
        return f"waiting to refused: it was sent {sent} times, so only the system may say that it is not done"
    return None
