"""What operators set live: rates, weights, minima, floors. It acts on the backlog at once and survives a restart.

A setting is a standing order with a value (`actors/controls.py`), so it has who, why and until when, ends by itself,
and is in the audit. What was configured stands below it and comes back when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from actors.caller.poster import Poster
from actors.controls import Controls
from actors.operator_windows import EXAMPLE, WINDOW, same, window_target, with_windows
from actors.operator_windows import told as told_windows
from actors.runtime.clock import Clock
from contracts.errors import ContractError, nearest
from policies.calendar import Calendar
from policies.lanes import LanePicker
from policies.limit_words import parse_limits
from policies.limits import SECOND_NS, ConcurrencyLimit, ExecutionLimit, Limit
from policies.order import Share
from policies.scope import parse_scope

RATE, WEIGHT, MINIMUM, FLOOR = "rate", "weight", "minimum", "floor"
SETTINGS = (RATE, WEIGHT, MINIMUM, FLOOR, WINDOW)
WEIGHT_MAX = 1_000
PERCENT_MAX = 33
MINIMA_PERCENT_MAX = 50
EXAMPLES = {
    RATE: "rate erp 5/s",
    WEIGHT: "weight tenant:acme 3",
    MINIMUM: "minimum tenant:acme 10",
    FLOOR: "floor lane:bulk 10",
    WINDOW: EXAMPLE,
}


class LiveSettings:
    """What is in force: what was configured, and over it what operators have set."""

    def __init__(
        self,
        controls: Controls,
        clock: Clock,
        system: str,
        limits: Iterable[Limit],
        floors: Mapping[str, int],
        shares: Mapping[str, Share],
        poster: Callable[[], Poster | None],
        calendar: Calendar | None = None,
    ) -> None:
        self._controls = controls
        self._clock = clock
        self.system = system
        self._poster = poster
        self.configured = tuple(limits)
        self.configured_floors = dict(floors)
        self.configured_shares = dict(shares)
        self.configured_calendar = calendar or Calendar()

    def configure(self, limits: Iterable[Limit]) -> None:
        """Other configured limits from now on; what operators have set stays on top."""
        self.configured = tuple(limits)
        self.apply()

    def configure_calendar(self, calendar: Calendar) -> None:
        """Other configured windows from now on; those of operators stay beside them."""
        self.configured_calendar = calendar
        self.apply()

    def calendar(self) -> Calendar:
        """The windows now."""
        return with_windows(self.configured_calendar, self._controls.in_force((WINDOW,)))

    def limits(self) -> tuple[Limit, ...]:
        """The limits of the system now."""
        order = self._controls.exact(RATE, self.system)
        return overlaid(self.configured, parse_limits((order.value or "").split(",")) if order else ())

    def weights(self) -> dict[str, int]:
        """Weights of tenants that have another than 1."""
        return {tenant: share.weight for tenant, share in self.shares().items() if share.weight != 1}

    def minima(self) -> dict[str, int]:
        """Percent of the calls that a tenant gets at least, of tenants that have a minimum."""
        return {t: share.minimum_percent for t, share in self.shares().items() if share.minimum_percent}

    def shares(self) -> dict[str, Share]:
        """Shares of tenants that have others than the usual."""
        weights, minima = self._by_tenant(WEIGHT), self._by_tenant(MINIMUM)
        found = dict(self.configured_shares)
        for tenant in {*weights, *minima}:
            usual = self.configured_shares.get(tenant, Share())
            found[tenant] = Share(weights.get(tenant, usual.weight), minima.get(tenant, usual.minimum_percent))
        return found

    def _by_tenant(self, name: str) -> dict[str, int]:
        orders = self._controls.in_force((name,))
        return {parse_scope(order.target).tenant or "": int(order.value or 0) for order in orders}

    def floors(self) -> dict[str, int]:
        """Percent of the calls that the lower lanes get at least.

        What is configured, if the end of another setting has left floors that leave no room together.
        """
        set_ = {(parse_scope(o.target).lane or ""): int(o.value or 0) for o in self._controls.in_force((FLOOR,))}
        floors = {**self.configured_floors, **set_}
        try:
            LanePicker(floors)
        except ValueError:
            return dict(self.configured_floors)
        return floors

    def apply(self) -> None:
        """Bring what runs in line with what is in force; nothing, if it is."""
        poster = self._poster()
        if poster is None:
            return
        if poster.gate.ceilings != (limits := self.limits()):
            poster.gate.set_limits(limits, self._clock.boot_ns())
        poster.gate.steer(self.shares(), None, self.floors())
        if poster.pace is not None and not same(poster.pace.calendar, calendar := self.calendar()):
            poster.pace.set_calendar(calendar)

    # checking ------------------------------------------------------------------------------------------------

    def checked(self, name: str, target: str, value: str) -> tuple[str, str]:
        """Target and value of a setting as they are kept, if they make sense.

        Raises:
            ContractError: operation.setting, operation.target or operation.value.
        """
        if name == WINDOW:
            return window_target(target, value)
        target = self.checked_target(name, target)
        if name == RATE:
            return target, self._rate(value)
        number = _number(name, value)
        if name == FLOOR:
            self._check_floors({**self.floors(), target.removeprefix("lane:"): number})
        if name == MINIMUM:
            together = {**self.minima(), target.removeprefix("tenant:"): number}
            if sum(together.values()) > MINIMA_PERCENT_MAX:
                detail = f"All minima together would be {sum(together.values())} %, at most {MINIMA_PERCENT_MAX}."
                raise ContractError("operation.value", detail, "/value", limit=MINIMA_PERCENT_MAX)
        return target, str(number)

    def checked_target(self, name: str, target: str) -> str:
        """The target of a setting, if the setting exists and can be set there.

        Raises:
            ContractError: operation.setting or operation.target.
        """
        if name not in SETTINGS:
            detail = f"{name} is no setting. There are {', '.join(SETTINGS)}."
            raise ContractError(
                "operation.setting", detail, "/name", known=list(SETTINGS), nearest=nearest(name, SETTINGS)
            )
        if name == WINDOW:
            return window_target(target)[0]
        part = {WEIGHT: "tenant:", MINIMUM: "tenant:", FLOOR: "lane:"}.get(name)
        fits = target == self.system if part is None else target.startswith(part) and len(target) > len(part)
        lanes = [f"lane:{lane}" for lane in self.configured_floors]
        if not fits or "," in target or (name == FLOOR and target not in lanes):
            example = f"Write it as in: {EXAMPLES[name]}."
            raise ContractError("operation.target", f"{name} cannot be set for {target}. {example}", "/target")
        return target

    def _rate(self, value: str) -> str:
        try:
            wanted = parse_limits(value.split(","))
        except ValueError as error:
            raise ContractError("operation.value", f"{error}.", "/value") from None
        standing = self._controls.standing(RATE, self.system)
        before = parse_limits((standing.value or "").split(",")) if standing else ()
        return words(overlaid(before, wanted))

    def _check_floors(self, floors: Mapping[str, int]) -> None:
        try:
            LanePicker(floors)
        except ValueError as error:
            raise ContractError("operation.value", f"{error}.", "/value") from None

    def told(self, name: str, target: str) -> str:
        """What is in force for a setting, as text."""
        match name:
            case "rate":
                return words(self.limits())
            case "floor":
                return f"{self.floors().get(target.removeprefix('lane:'), 0)} %"
            case "window":
                return told_windows(self.calendar(), target)
            case "minimum":
                return f"{self.minima().get(target.removeprefix('tenant:'), 0)} %"
        return str(self.weights().get(target.removeprefix("tenant:"), 1))


def _number(name: str, value: str) -> int:
    most = WEIGHT_MAX if name == WEIGHT else PERCENT_MAX
    text = value.removesuffix("%").strip()
    if len(text) > 9 or not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= most:
        detail = f"{name}: expected a whole number from 1 to {most}. Write it as in: {EXAMPLES[name]}."
        raise ContractError("operation.value", detail, "/value", minimum=1, limit=most)
    return int(text)


def overlaid(configured: Iterable[Limit], over: Iterable[Limit]) -> tuple[Limit, ...]:
    """Limits with others in the place of those of the same window; those of a new window are added."""
    replaced = {_window(limit): limit for limit in over}
    found = [replaced.pop(_window(limit), limit) for limit in configured]
    return (*found, *replaced.values())


def words(limits: Iterable[Limit]) -> str:
    """Limits as they are written in settings, joined by commas."""
    return ",".join(_word(limit) for limit in limits)


def _word(limit: Limit) -> str:
    match limit:
        case ConcurrencyLimit():
            return limit.name.replace("concurrent", f"{limit.limit} concurrent", 1)
        case ExecutionLimit() if limit.call_ns is not None:
            window = f"/{limit.window_ns // SECOND_NS}s"
            return limit.name.replace(window, f"{window} up to {limit.call_ns // SECOND_NS}s each", 1)
    return limit.name


def _window(limit: Limit) -> tuple[object, ...]:
    window_ns = None if isinstance(limit, ConcurrencyLimit) else limit.window_ns
    return type(limit), window_ns, limit.operation, limit.per_object
