"""The daemon's figures for Prometheus, collected when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.house import House


class HouseCollector(Collector):
    """Reads the counters that the actors keep anyway; collecting costs no query."""

    def __init__(self, house: House) -> None:
        self._house = house

    def collect(self) -> Iterator[Metric]:
        """All families."""
        counters = self._house.store.counters
        accepted = CounterMetricFamily("tidegate_messages_accepted", "Messages accepted since start")
        accepted.add_metric([], counters.accepted)
        yield accepted
        duplicates = CounterMetricFamily("tidegate_messages_duplicate", "Messages recognised as duplicates since start")
        duplicates.add_metric([], counters.duplicates)
        yield duplicates
        handled = CounterMetricFamily("tidegate_messages_handled", "Messages handled since start", labels=["outcome"])
        for outcome, count in sorted(counters.outcomes.items()):
            handled.add_metric([outcome], count)
        yield handled
        yield self._calls()
        yield from self._budget()
        yield from self._store()
        restarts = CounterMetricFamily("tidegate_actor_restarts", "Restarts of actors since start")
        restarts.add_metric([], self._house.restarts)
        yield restarts

    def _calls(self) -> Metric:
        family = GaugeMetricFamily(
            "tidegate_calls", "Calls by system, lane and status", labels=["system", "lane", "status"]
        )
        for (system, lane, status), count in sorted(self._house.store.counters.calls.items()):
            family.add_metric([system, lane, status], count)
        return family

    def _budget(self) -> Iterator[Metric]:
        used = GaugeMetricFamily("tidegate_budget_used", "Units of a limit in use", labels=["limit"])
        limits = GaugeMetricFamily("tidegate_budget_limit", "Units that a limit allows", labels=["limit"])
        if (poster := self._house.poster) is not None:
            for usage in poster.gate.budget.usage(self._house.clock.boot_ns()):
                used.add_metric([usage.name], usage.used)
                limits.add_metric([usage.name], usage.limit)
        yield used
        yield limits
        yield from self._learned()

    def _learned(self) -> Iterator[Metric]:
        ceilings = GaugeMetricFamily("tidegate_budget_ceiling", "Units that were configured", labels=["limit"])
        others = GaugeMetricFamily(
            "tidegate_budget_others", "Units that others were last seen to use", labels=["limit"]
        )
        dry = GaugeMetricFamily(
            "tidegate_plan_dry_seconds",
            "Until a long limit is spent at this pace; no sample: it lasts",
            labels=["limit"],
        )
        refusals = CounterMetricFamily("tidegate_erp_refusals", "Calls that the ERP refused for a limit, since start")
        rests = GaugeMetricFamily("tidegate_operations_resting", "Operations that fail too often and get a rest")
        if (poster := self._house.poster) is not None:
            now_ns = self._house.clock.boot_ns()
            for one in poster.gate.governor.standings(now_ns):
                ceilings.add_metric([one.limit], one.ceiling)
                others.add_metric([one.limit], one.others)
            for plan in poster.pace.outlooks() if poster.pace else []:
                if plan.dry_in_ns is not None:
                    dry.add_metric([plan.limit], plan.dry_in_ns / 1e9)
            refusals.add_metric([], poster.gate.governor.refusals)
            rests.add_metric([], len(poster.gate.rests(now_ns)))
        yield from (ceilings, others, dry, refusals, rests)

    def _store(self) -> Iterator[Metric]:
        writer = self._house.store.writer
        groups = CounterMetricFamily("tidegate_store_commits", "Group commits since start")
        groups.add_metric([], writer.groups)
        yield groups
        failing = GaugeMetricFamily("tidegate_store_failing", "1 while the store cannot write")
        failing.add_metric([], float(writer.failure is not None))
        yield failing


def registry(house: House) -> CollectorRegistry:
    """A registry of our own: nothing global."""
    own = CollectorRegistry()
    own.register(HouseCollector(house))
    return own
