"""Which cases make the matrix: what the code declares, what a counting run has passed, and what each point needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from zlib import crc32

from broker.crash_points import SIDES
from tests.fault.crash.bugs import PLANTED
from tests.fault.crash.case import MODES, Case
from tests.fault.crash.points import sites

ALL_PARTS = {
    "embedded": frozenset({"orders", "late", "purge", "sums", "auth", "poison", "ledger", "wave", "mend"}),
    "rabbitmq": frozenset(
        {"orders", "late", "purge", "sums", "auth", "poison", "ledger", "wave", "mend", "amqp", "lost-queue"}
    ),
}
NEEDS = {
    "commit/controls.expire": "orders",
    "commit/controls.give": "auth",
    "commit/operator_plans.show": "orders",
    "commit/operator_plans.write": "orders",
    "commit/poster.rewrite": "orders",
    "commit/services.run": "late",
    "commit/life.quarantine": "poison",
    "ack/life.quarantine": "poison",
    "file/export": "purge",
    "commit/desk.accept_each": "amqp",
    "ack/amqp.carry": "amqp",
    "commit/dead_letters.carry": "amqp",
    "ack/dead_letters.carry": "amqp",
    "commit/relay.forget": "lost-queue",
    "commit/spends.thin": "sums",
    "commit/errands.go": "ledger",
    "commit/errands.ended": "ledger",
    "commit/reconciler.record": "ledger",
    "call/rest.list_documents": "ledger",
    "commit/wave_runner.look": "wave",
    "commit/retries.step": "mend",
    "commit/approvals.replay": "mend",
}
"""The part of the load that leads to a point, where the base does not."""
FIRST = "commit/life.carry/workflow:after:12"
"""A death in the middle, for a life that has something to take over."""
TAKES_OVER = "commit/recovery.take_over"
STARTS = ("open/", "declare/", "publish/lease", "publish/probe", "file/operator_token")
ALIKE = ("support-caller", "crm-caller", "revenue-caller")
_NO_DAEMON = "no daemon calls it: the command line does, into the store of a daemon that is not running"
_CHECK = "`tidegate broker check` asks; no daemon does"
_PAST_A_UNIT = "what a daemon publishes and settles is part of a unit of somebody else; this is for what is not"
_RESTORED = "only a store that is older than it was looks at the systems first"
_LOST = "only a comparison in the background opens exceptions, about documents that a system has lost"
_FINDS = "only where a system cannot be asked about an intent; all of these can"
_AGREED = "asked about an intent only when the listing and the ledger do not agree on it, and here they do"
_RABBIT_ONLY = "the embedded queues are rows of the store: nothing is declared, published or confirmed"
UNREACHED = {
    "embedded": {
        "commit/controls.end": _NO_DAEMON,
        "commit/reconcil_look.keep": _RESTORED,
        "commit/reconcil_look.run": _RESTORED,
        "commit/reconciler.keeper": _LOST,
        "call/rest.papers": _AGREED,
        "commit/unasked.decide": _FINDS,
        "publish/inspection.probe": _CHECK,
        "commit/embedded.publish": _PAST_A_UNIT,
        "commit/embedded.settle": _PAST_A_UNIT,
        "ack/amqp.carry": "there is an AMQP door with RabbitMQ only",
        "commit/desk.accept_each": "there is an AMQP door with RabbitMQ only",
        "ack/dead_letters.carry": "a broker gives messages up, the store does not",
        "commit/dead_letters.carry": "a broker gives messages up, the store does not",
        "commit/relay.forget": _RABBIT_ONLY,
        "commit/relay.mark": _RABBIT_ONLY,
        "declare/services.run": _RABBIT_ONLY,
        "publish/lease.take": _RABBIT_ONLY,
        "publish/probe.probe_dead_letters": _RABBIT_ONLY,
        "publish/relay.send": _RABBIT_ONLY,
        "open/store.prepare_order": "the embedded queues keep their order by themselves",
    },
    "rabbitmq": {
        "commit/controls.end": _NO_DAEMON,
        "commit/reconcil_look.keep": _RESTORED,
        "commit/reconcil_look.run": _RESTORED,
        "commit/reconciler.keeper": _LOST,
        "call/rest.papers": _AGREED,
        "commit/unasked.decide": _FINDS,
        "publish/inspection.probe": _CHECK,
        "commit/embedded.publish": "the other engine",
        "commit/embedded.settle": "the other engine",
    },
}
"""Points that no load reaches on an engine, and why."""
BY_CHANCE = ("call/rest.papers",)
"""Among those, what a run may pass all the same when a comparison falls into the middle of a call."""


def counting(engine: str) -> list[Case]:
    """Runs without the death that is asked about, to learn which points there are and how often each is passed."""
    return [
        Case(engine=engine),
        Case(engine=engine, parts=ALL_PARTS[engine]),
        Case(engine=engine, first=FIRST, mode="lost"),
    ]


def site_of(point: str) -> str:
    """Without the actor."""
    return "/".join(point.split("/")[:2])


def missing(engine: str, passed: Counter[str]) -> list[str]:
    """Declared points that no counting run has passed and nothing excuses."""
    seen = {site_of(name.partition(":")[0]) for name in passed}
    return [site for site in sites() if site not in seen and site not in UNREACHED[engine]]


def stale(engine: str, passed: Counter[str]) -> list[str]:
    """Excuses for what is passed after all, or is not in the code any more."""
    seen = {site_of(name.partition(":")[0]) for name in passed}
    return [site for site in UNREACHED[engine] if (site in seen and site not in BY_CHANCE) or site not in sites()]


def matrix(engine: str, base: Counter[str], passed: Counter[str]) -> list[Case]:
    """Every point that was passed, on both sides, in both modes. `base`: the passes of the load without parts."""
    names = sorted({point for name in passed if site_of(point := name.partition(":")[0]) not in BY_CHANCE})
    cases = [case for point in names for case in _of_point(engine, point, base)]
    return [case for place, case in enumerate(cases) if _is_its_turn(place, case, names)]


def _is_its_turn(place: int, case: Case, names: Sequence[str]) -> bool:
    """Three callers are the same in all but their name: each point of theirs is met at one of them, in turn."""
    site, _, actor = case.point.rpartition("/")
    alike = [one for one in ALIKE if f"{site}/{one}" in names]
    return actor not in ALIKE or alike[place % 4 % len(alike)] == actor


def _of_point(engine: str, point: str, base: Counter[str]) -> Iterator[Case]:
    for side in SIDES:
        for mode in MODES:
            part = NEEDS.get(site_of(point))
            first = _first(point, mode)
            passes = 1 if part or first else base[f"{point}:{side}"]
            number = 1 + crc32(f"{point} {side} {mode} {engine}".encode()) % max(1, passes * 2 // 3)
            parts = frozenset({part}) if part else frozenset()
            yield Case(point, side, number, mode, engine, parts, first)


def _first(point: str, mode: str) -> str:
    """The death before the one that is asked about: in the middle of what the point has to find.

    What happens at every start is met at the first start of all in one mode, and after a death in the other.
    """
    if "find_by_intent/" in point:
        return f"{point.replace('find_by_intent', 'post')}:after:1"
    if point.startswith("commit/spends.recall/"):  # with a call that has ended and that nobody has added up yet
        return f"{point.replace('spends.recall', 'poster.store_step')}:after:1"
    return FIRST if point.startswith(TAKES_OVER) or (point.startswith(STARTS) and mode == "lost") else ""


def chosen(cases: Sequence[Case], words: Sequence[str]) -> list[Case]:
    """Those whose point has one of the words; all without words."""
    return [case for case in cases if not words or any(word in case.point for word in words)]


def planted(name: str) -> Case:
    """The case that brings a planted bug to light."""
    bug = PLANTED[name]
    point, side, number = bug.at.split(":")
    return Case(point, side, int(number), bug.mode, bug.engine, frozenset({bug.part} - {""}), bug.first, name)
