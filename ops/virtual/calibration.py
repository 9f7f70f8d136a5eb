"""How often the truth lies within the interval: forecasts in the middle of simulated surges, and what came true.

Each surge is drawn from its own seed: limits, times and moods of the ERP, which packs come in how fast, and when the
question is asked. The ERP changes its mood while it goes on, and arrivals follow the shape of a day; the forecast
knows neither, only the last minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import msgspec

from ops.packs import generate
from ops.sandbox.limits import load_profile
from ops.virtual.erp import Mood
from ops.virtual.questions import Outcome, Question, ask
from ops.virtual.watch import Watch
from ops.virtual.world import World
from policies.limit_words import parse_limits

LIMITS = (
    ("20/1s", "5 concurrent"),
    ("60/min", "5 concurrent"),
    ("20/min", "5 concurrent"),
    ("100/300s", "2 concurrent"),
    ("300/300s", "5 concurrent"),
    ("600/h", "5 concurrent"),
    ("15 concurrent",),
    ("5 concurrent",),
    ("2 concurrent",),
    ("1 concurrent",),
)
PACKS = ("incident", "billing-cycle", "renewal", "month-end", "all", "all", "all")
WAITING_MIN = 20
CALLS_MIN = 40
MOMENTS = 40
_SECOND_NS = 1_000_000_000


def surge(seed: int) -> list[Outcome]:
    """One surge, one question, and the truth for all, for each lane and for each tenant. Empty if nothing waited."""
    random = Random(f"surge:{seed}")
    words = random.choice(LIMITS)
    mood = Mood(random.uniform(200, 8_000), random.uniform(0.2, 1.0), 2.0, random.choice((0.0, 0.002, 0.03)), 0.002)
    cases = random.randint(250, 1_000)
    pack = random.choice(PACKS)
    per_second = _capacity(words, mood)
    span_seconds = cases / per_second * random.choice((0.01, random.uniform(0.5, 3)))
    watch = Watch()
    messages = generate(pack, cases, seed, hours=span_seconds / 3_600)
    world = World(messages, parse_limits(words), load_profile("custom", words), mood, seed, watcher=watch)
    _change_moods(world, mood, random)
    question = _asked_once(world, watch, random, round(1.5 * span_seconds * _SECOND_NS) or _SECOND_NS)
    return [] if question is None else question.outcomes(world.fates)


def _asked_once(world: World, watch: Watch, random: Random, span_ns: int) -> Question | None:
    """Let the surge pass; one question at a moment drawn from all at which it is worth asking."""
    moment_ns, step_ns, chances = 0, span_ns // MOMENTS, 0
    question: Question | None = None
    while not world.over:
        world.run(moment_ns)
        if len(watch.waiting) >= WAITING_MIN and watch.pace.recent(moment_ns).calls >= CALLS_MIN:
            chances += 1
            if random.random() * chances < 1:
                question = ask(watch, world.gate.budget, moment_ns)
        moment_ns += step_ns
    return question


def _capacity(words: Iterable[str], mood: Mood) -> float:
    """Calls per second under backlog, roughly."""
    found = []
    for word in words:
        count, _, window = word.partition("/")
        if window:
            found.append(int(count) / {"1s": 1, "min": 60, "300s": 300, "h": 3_600}[window])
        else:
            found.append(int(word.split()[0]) / (mood.latency_ms / 1_000))
    return min(found)


def _change_moods(world: World, mood: Mood, random: Random) -> None:
    """Now and then it becomes slower or quicker, or fails more."""
    at = 0.0
    for _ in range(200):
        at += random.expovariate(1 / 600)
        changed = msgspec.structs.replace(
            mood,
            latency_ms=mood.latency_ms * random.lognormvariate(0, 0.25),
            failures=random.choices((mood.failures, 0.05, 0.2), (80, 15, 5))[0],
        )
        world.agenda.at(round(at * _SECOND_NS), lambda changed=changed: setattr(world.erp, "mood", changed))  # type: ignore[misc]
