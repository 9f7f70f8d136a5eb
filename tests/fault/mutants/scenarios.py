"""The runs: what is accepted when, what the ERP does, what operators do. Each passes with healthy parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ops.certificate import Certificate
from ops.certificate.terms import Terms, Weights
from policies.order import Share
from policies.order_lines import Block
from tests.fault.mutants.desk import Desk, Durable, Parts
from tests.fault.mutants.world import FINE, SECOND, Fate, Message, Settings, World

TERMS = Terms(
    floors_percent={"standard": 10, "bulk": 5},
    jain_min=0.9,
    turn_rounds=1.0,
    turn_calls=1,
    transit_calls=5,
    idle_percent_max=10.0,
    freezes=True,
    ready_seconds=0.005,
    reaction_seconds=0.2,
    lost_seconds=7.0,
)
"""Of a caller next to its ERP. `transit_calls`: as many as there are places."""

Run = Callable[[World, Parts, tuple[str, ...]], None]


@dataclass(frozen=True)
class Scenario:
    """A run, the ERP it meets, and the terms it is held to."""

    name: str
    run: Run
    settings: Callable[[], Settings] = Settings
    terms: Terms = TERMS
    limits: tuple[str, ...] = ("20/1s", "5 concurrent")


def run(scenario: Scenario, parts: Parts, place: Path) -> Certificate:
    """The whole run in virtual time, and the certificate of what the ERP wrote down."""
    world = World(
        place, replace(scenario.settings(), limits=[words.partition(" up to ")[0] for words in scenario.limits])
    )
    scenario.run(world, parts, scenario.limits)
    world.agenda.run()
    return world.certificate(scenario.terms)


def desk_of(world: World, parts: Parts, limits: tuple[str, ...]) -> Desk:
    return parts.desk(world, limits, parts, Durable())


def accept(world: World, count: int, tenants: int = 4, lane: str = "standard") -> list[Message]:
    """So many messages, from tenants in turn."""
    return [world.accept(f"t{number % tenants}", lane) for number in range(count)]


# the runs -----------------------------------------------------------------------------------------------------


def burst(world: World, parts: Parts, limits: tuple[str, ...]) -> None:
    """300 messages at once."""
    desk_of(world, parts, limits).take_all(accept(world, 300))


def lanes(world: World, parts: Parts, limits: tuple[str, ...]) -> None:
    """400 in the bulk lane; then urgent and standard ones, as many as the ERP takes and more."""
    desk = desk_of(world, parts, limits)
    desk.take_all(accept(world, 400, lane="bulk"))
    for tick in range(60):
        world.agenda.after(1 + tick / 4, lambda: desk.take_all(accept(world, 4, lane="urgent")))
        world.agenda.after(1.1 + tick / 4, lambda: desk.take_all(accept(world, 2, lane="standard")))


def one_behind_many(world: World, parts: Parts, limits: tuple[str, ...]) -> None:
    """So many of tenant A that 50,000 are left when one message of tenant B comes."""
    desk = desk_of(world, parts, limits)
    desk.take_all([world.accept("A") for _ in range(51_200)])
    world.agenda.after(3, lambda: desk.take_all([world.accept("B")]))


def weights_change(world: World, parts: Parts, limits: tuple[str, ...]) -> None:
    """Two equal tenants with a backlog; three seconds later one of them gets weight 8."""
    desk = desk_of(world, parts, limits)
    desk.take_all(accept(world, 1_000, tenants=2))
    world.agenda.after(3, lambda: desk.order.set_tenants({"t0": Share(8)}))


def killed(world: World, parts: Parts, limits: tuple[str, ...]) -> None:
    """Killed four times in mid-surge."""
    desk = desk_of(world, parts, limits)
    desk.take_all(accept(world, 80))
    lives = [desk]

    def kill() -> None:
        lives[-1].kill()
        lives.append(lives[-1].succeed(limits))

    for life in range(4):
        world.agenda.after(0.03 + 1.3 * life, kill)


def two_desks(world: World, parts: Parts, limits: tuple[str, ...]) -> None:
    """Two daemons share the work, and ought to share the budget."""
    first = desk_of(world, parts, limits)
    second = desk_of(world, replace(parts, budget=parts.second_budget(first)), limits)
    messages = accept(world, 300)
    first.take_all(messages[::2])
    second.take_all(messages[1::2])


def one_account(world: World, parts: Parts, limits: tuple[str, ...]) -> None:
    """Some accounts with several messages each, among others."""
    desk = desk_of(world, parts, limits)
    mine = [world.accept("t0", account=f"acc-of-{number % 5}") for number in range(25)]
    desk.take_all(mine + accept(world, 60))


def held(world: World, parts: Parts, limits: tuple[str, ...]) -> None:
    """A tenant is paused for five seconds in mid-surge."""
    desk = desk_of(world, parts, limits)
    desk.take_all(accept(world, 200, tenants=2))

    def pause() -> None:
        desk.order.block(Block(tenant="t0"))
        now_ns = world.agenda.now_ns
        until = {"from_ns": now_ns, "to_ns": now_ns + 5 * SECOND}
        world.spells.append({"event": "held", **until, "tenant": "t0", "why": "the audit of t0"})

    def resume() -> None:
        desk.order.unblock(Block(tenant="t0"))
        desk.turn()

    world.agenda.after(2, pause)
    world.agenda.after(7, resume)


def limits_change(world: World, parts: Parts, limits: tuple[str, ...]) -> None:
    """From 20 to 5 a second by command after four seconds, and to 40 after twelve."""
    desk = desk_of(world, parts, limits)
    desk.take_all(accept(world, 400))

    def change(first: Callable[..., None], then: Callable[..., None], *words: str) -> None:
        first(words)
        world.agenda.after(0.01, lambda: then(words))

    # Whoever narrows tells his callers first; whoever widens tells them afterwards.
    world.agenda.after(4, lambda: change(desk.resize, world.erp.change_limits, "5/1s", "5 concurrent"))
    world.agenda.after(12, lambda: change(world.erp.change_limits, desk.resize, "40/1s", "5 concurrent"))


# moods of the ERP ---------------------------------------------------------------------------------------------


def some(
    choose: Callable[[int], bool], fate: Fate, kinds: tuple[str, ...] = ("post",)
) -> Callable[[str, Message], Fate]:
    """The calls of these kinds whose number is chosen meet a fate; the others are fine."""
    met = [0]

    def meet(kind: str, message: Message) -> Fate:
        if kind not in kinds:
            return FINE
        met[0] += 1
        return fate if choose(met[0]) else FINE

    return meet


def refusing() -> Settings:
    """Twice it refuses for three seconds."""
    return Settings(fate=some(lambda n: n in (40, 100), Fate(commit=False, throttle_seconds=3), ("post", "find")))


def losing() -> Settings:
    """Every fifth answer is lost."""
    return Settings(fate=some(lambda n: n % 5 == 0, Fate(answered=False)), timeout_seconds=1.0)


def in_the_dark() -> Settings:
    """Fifteen answers are lost, and for a while it does not answer questions about them."""
    posts = some(lambda n: n <= 15, Fate(answered=False))
    finds = some(lambda n: n <= 150, Fate(commit=False, fails=True), ("find",))
    return Settings(fate=lambda kind, one: (posts if kind == "post" else finds)(kind, one), timeout_seconds=1.0)


def hanging() -> Settings:
    """Some calls take longer than anyone waits for them."""
    return Settings(fate=some(lambda n: 3 <= n <= 12, Fate(answered=False, busy_seconds=6.5)))


def losing_undone() -> Settings:
    """Some calls are not answered, and nothing was done."""
    fate = some(lambda n: n in (10, 20, 30), Fate(commit=False, answered=False))
    return Settings(fate=fate, timeout_seconds=1.0)


def forgetful() -> Settings:
    """It does not know a reference again, and some answers are lost."""
    fate = some(lambda n: n in (10, 20, 30), Fate(answered=False))
    return Settings(fate=fate, timeout_seconds=1.0, deduplicates=False)


def failing() -> Settings:
    """Every third call fails for now."""
    return Settings(fate=some(lambda n: n % 3 == 0, Fate(commit=False, fails=True)))


BURST = Scenario("burst", burst)
LANES = Scenario("lanes", lanes)
BEHIND = Scenario(
    "one behind 50,000",
    one_behind_many,
    limits=("400/1s", "20 concurrent"),
    terms=Terms(turn_rounds=1.0, turn_calls=1),
)
WEIGHTS = Scenario(
    "weights change",
    weights_change,
    terms=Terms(jain_min=0.97, weights=[Weights({}), Weights({"t0": 8.0}, 4 * SECOND)], ready_seconds=0.005),
)
KILLED = Scenario("killed", killed, lambda: Settings(), limits=("10/5s",), terms=Terms())
TWO = Scenario("two daemons", two_desks, terms=Terms())
ACCOUNT = Scenario("one account", one_account, failing)
HELD = Scenario("held", held)
CHANGE = Scenario("limits change", limits_change)
REFUSED = Scenario("refused", burst, refusing)
LOSING = Scenario("answers lost", burst, losing)
DARK = Scenario("nobody knows", burst, in_the_dark, terms=Terms(), limits=("20/1s",))
HANGING = Scenario("calls hang", burst, hanging)
UNDONE = Scenario("lost and not done", burst, losing_undone)
FORGETFUL = Scenario("an ERP that forgets", burst, forgetful)
FAR = Scenario(
    "far away",
    burst,
    lambda: Settings(wire=(0.001, 0.8), says_duration=False),
    terms=Terms(),
    limits=("20/1s",),
)
COARSE = Scenario("a clock read late", burst, lambda: Settings(wire=(0.00005, 0.0001)))
MIDNIGHT = Scenario(
    "midnight",
    burst,
    limits=("20/1s", "200/day"),
    terms=Terms(idle_percent_max=10.0, ready_seconds=0.005),
)
OBJECTS = Scenario(
    "each object",
    one_account,
    limits=("20/1s", "5 concurrent", "2/3s per object"),
    # This desk keeps what waits for its object out of the order, charged; shares are not what it is about.
    terms=Terms(idle_percent_max=10.0, ready_seconds=0.005),
)
OPERATIONS = Scenario("each operation", burst, limits=("20/1s", "5 concurrent", "post: 20/3s"))
EXECUTION = Scenario(
    "execution time",
    burst,
    lambda: Settings(latency=(0.3, 0.9)),
    limits=("10 execution-seconds/10s up to 1s each", "20 concurrent"),
    terms=Terms(),
)
SLOW = Scenario("slow calls", burst, lambda: Settings(latency=(0.5, 1.5)), limits=("10 concurrent",))
