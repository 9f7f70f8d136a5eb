"""Building a house from settings: which parts there are, and how the leaves of the tree are made."""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path

import msgspec

from actors.adapters.credential import Credential
from actors.adapters.port import Traits
from actors.adapters.rest import RestAdapter
from actors.anchors import AnchorKeeper
from actors.approvals import Approvals
from actors.caller.gate import Gate, Steering
from actors.caller.numbers import SpendNumbers
from actors.caller.pace import Pace
from actors.caller.poster import Poster
from actors.caller.results import Results
from actors.controls import Controls
from actors.credentials import Keyring
from actors.credit_policy import CreditPolicyDecider
from actors.dead_letters import DeadLetters
from actors.decider import DeciderActor
from actors.doors.amqp import AmqpDoor
from actors.doors.desk import Desk
from actors.doors.http.app import build as build_app
from actors.doors.http.server import HttpDoor
from actors.erp_requests import DOMAIN as CALLER_DOMAIN
from actors.erp_requests import SYSTEM, ErpRequestDecider
from actors.house import House
from actors.onlooker import Onlooker
from actors.operator_clock import OrderClock
from actors.operator_settings import LiveSettings
from actors.processes_build import caller, caller_name, connected, deciders
from actors.processes_results import ProcessTeller
from actors.reconciler import Reconciler
from actors.runtime.actor import Actor
from actors.runtime.clock import Clock, microseconds
from actors.runtime.entropy import Entropy
from actors.services import BrokerLink, Housekeeping, RelayActor, StoreWriter, Timers, Watchdog
from actors.settings import Settings, calendar_of
from actors.tree import Make
from actors.wave_runner import WaveRunner
from actors.waves import Waves
from broker.accept import Acceptor
from broker.embedded import EmbeddedBroker
from broker.life import Decider, Life
from broker.port import Broker
from broker.rabbitmq.broker import RabbitMQBroker
from broker.rabbitmq.lease import Owner
from broker.rabbitmq.settings import RabbitMQSettings
from broker.relay import Relay
from broker.store.anchoring import Anchoring
from broker.store.anchors import AnchorFile
from broker.store.store import Store
from broker.topology import build as build_topology
from contracts.catalogue import REGISTRY
from policies.approval_words import everybody, of_finance, read_delegations
from policies.lanes import LANES
from policies.limit_words import parse_limits
from policies.partitions import PartitionMap
from policies.vendors import VENDORS
from policies.watermarks import marks_of_lanes

VERSION = "0.1.0"


class Builder:
    """Puts a house together around an open store."""

    def __init__(
        self, settings: Settings, store: Store, clock: Clock, entropy: Entropy, keyring: Keyring, spread: PartitionMap
    ) -> None:
        self._settings = settings
        self._keyring = keyring
        self._store = store
        self._connected = connected(settings)
        self._numbers = SpendNumbers()
        self._deciders: dict[str, Decider] = {
            "credit-policy": CreditPolicyDecider(workflow=bool(self._connected)),
            "erp-requests": ErpRequestDecider(),
            **deciders(settings),
        }
        broker, self._relay = self._engine(clock, entropy)
        routes = {type: decider.domain for decider in self._deciders.values() for type in decider.handles}
        self._acceptor = Acceptor(broker, REGISTRY, routes, spread)
        controls = Controls(store, clock)
        flow = settings.flow
        parts = {"standard": flow.standard_share_percent, "bulk": flow.bulk_share_percent}
        marks = marks_of_lanes(flow.waiting_high, flow.waiting_low, parts)
        queues = {d.domain: spread.queues(d.domain) for d in self._deciders.values()}
        self.house = House(
            store=store,
            broker=broker,
            controls=controls,
            desk=Desk(store, self._acceptor, controls, clock, marks, SYSTEM),
            clock=clock,
            entropy=entropy,
            registry=REGISTRY,
            system=SYSTEM,
            caller_domain=CALLER_DOMAIN,
            onlooker=Onlooker(store, SYSTEM, clock),
            consumed=queues,
            live=LiveSettings(
                controls,
                clock,
                SYSTEM,
                parse_limits(settings.erp.limits),
                self._floors(),
                settings.flow.tenant_shares(),
                lambda: self.house.poster,
                calendar_of(settings),
            ),
            partitions=settings.broker.partitions,
        )
        approval = settings.approval
        people = everybody(approval.people, settings.operators.named)
        delegations = read_delegations(approval.delegations)
        self._posters = of_finance(people) if approval.direct_needs_finance else None
        self.approvals = (
            Approvals(self.house, self._acceptor, people, delegations, frozenset({SYSTEM, *self._connected}))
            if self._connected
            else None
        )
        self.waves = Waves(self.house, self._acceptor, people, delegations) if self._connected else None
        self._teller = ProcessTeller(self._acceptor, REGISTRY) if self._connected else None
        self.house.teller = self._teller
        self._topology = build_topology(list(queues), spread)
        if isinstance(self.house.broker, RabbitMQBroker):
            self.house.broker.expect(self._topology)

    def _engine(self, clock: Clock, entropy: Entropy) -> tuple[Broker, Relay | None]:
        """The broker that the settings name, and the relay that it needs if it is not in the store itself."""
        url = broker_url(self._settings)
        if url == "embedded":
            return EmbeddedBroker(self._store), None
        place = f"process {os.getpid()} on {socket.gethostname()}, data directory {self._settings.directory.absolute()}"
        owner = Owner(self._store.epoch, place)
        broker = RabbitMQBroker(RabbitMQSettings(url=url), entropy, clock.sleep, owner)
        relay = Relay(self._store, broker, lambda: microseconds(clock.now()), entropy.random, clock.sleep)
        broker.before_create = relay.forget
        return broker, relay

    def makers(self, listen: socket.socket) -> dict[str, Make]:
        """How each leaf of the tree is made, by name. `listen` is the bound socket of the HTTP door."""
        house, anchors = self.house, AnchorFile(self._settings.anchors)
        makers: dict[str, Make] = {
            "store-writer": lambda: StoreWriter(self._store),
            "anchors": lambda: AnchorKeeper(Anchoring(self._store, anchors), self._settings.audit.anchor_seconds),
            "broker-link": lambda: BrokerLink(house.broker, self._topology),
            **{name: partial(self._decider, name) for name in self._deciders},
            **{caller_name(system): partial(self._caller, system) for system in self._connected},
            "erp-poster": self._poster,
            "timers": lambda: Timers(self._store, self._acceptor),
            "orders": lambda: OrderClock(house.controls, house.live, self._store, house.pace, house.onlooker),
            "housekeeping": lambda: Housekeeping(self._store),
            "reconciler": self._reconciler,
            "watchdog": lambda: Watchdog(lambda: house.root),
            "http": lambda: HttpDoor(
                lambda: build_app(house, self._keyring, VERSION, self.approvals, self.waves, self._posters), listen.dup
            ),
        }
        if (waves := self.waves) is not None:
            makers["waves"] = lambda: WaveRunner(waves)
        if (relay := self._relay) is not None:
            makers["relay"] = lambda: RelayActor(relay)
            makers["amqp"] = lambda: AmqpDoor(house.broker, house.desk, house.controls)
            makers["dead-letters"] = lambda: DeadLetters(self._store, house.broker, house.controls, REGISTRY)
        return makers

    def take_calendar(self, fresh: Settings) -> None:
        """Keep other windows from now on, in the running poster and in every one that is made after it."""
        self._settings = msgspec.structs.replace(self._settings, calendar=fresh.calendar)
        self.house.live.configure_calendar(calendar_of(fresh))

    def take_limits(self, words: tuple[str, ...]) -> None:
        """Keep other ERP limits from now on, in the running poster and in every one that is made after it."""
        settings = self._settings
        self._settings = msgspec.structs.replace(settings, erp=msgspec.structs.replace(settings.erp, limits=words))
        self.house.live.configure(parse_limits(words))

    def _waiting(self) -> int:
        return sum(self._store.counters.waiting(SYSTEM, lane) for lane in LANES)

    def _floors(self) -> dict[str, int]:
        flow = self._settings.flow
        return {"standard": flow.standard_floor_percent, "bulk": flow.bulk_floor_percent}

    def _decider(self, name: str) -> Actor:
        house, decider = self.house, self._deciders[name]
        life = Life(self._store, house.broker, self._acceptor, REGISTRY, decider)
        actor = DeciderActor(life, house.broker, house.consumed[decider.domain], house.controls, decider.domain)
        house.deciders[name] = actor
        return actor

    def _poster(self) -> Actor:
        house, settings = self.house, self._settings
        erp = settings.erp
        credential = Credential(Path(erp.token_file) if erp.token_file else None)
        vendor = VENDORS[erp.signals]
        dedupe_seconds = erp.dedupe_hours * 3_600
        traits = Traits(erp.dedupe_hours > 0, erp.finds, erp.late_seconds, dedupe_seconds)
        adapter = RestAdapter(
            erp.url, house.clock, erp.timeout_seconds, erp.lost_seconds, credential, vendor=vendor, traits=traits
        )
        shares = house.live.shares(), settings.flow.workload_shares()
        steering = Steering(erp.adapt, erp.reserve_percent, erp.rest_seconds_max)
        gate = Gate(house.live.limits(), house.entropy.random, house.live.floors(), *shares, steering)
        results = Results(house.broker, REGISTRY, CALLER_DOMAIN, self._teller)
        keep = {"standard": settings.plan.standard_keep_percent, "bulk": settings.plan.bulk_keep_percent}
        pace = Pace(gate, house.clock, house.live.calendar(), keep, self._waiting)
        poster = Poster(
            self._store,
            adapter,
            gate,
            results,
            house.controls,
            CALLER_DOMAIN,
            self._numbers,
            ask_limits_seconds=erp.ask_limits_seconds,
            pace=pace,
            share_percent=settings.reconcile.share_percent,
        )
        house.poster = house.desk.poster = house.posters[SYSTEM] = poster
        house.live.apply()
        return poster

    def _reconciler(self) -> Actor:
        house, chosen = self.house, self._settings.reconcile
        house.reconciler = Reconciler(self._store, house.posters, chosen.every_hours, chosen.look_first_hours)
        return house.reconciler

    def _caller(self, system: str) -> Actor:
        assert self._teller is not None, "there are callers only with a workflow"
        poster = caller(system, self._settings, self.house, self._teller, self._numbers)
        self.house.posters[system] = poster
        return poster


def broker_url(settings: Settings) -> str:
    """Where the broker is: `embedded`, or a URL that may hold a password and so may come from a file."""
    path = settings.broker.url_file
    return Path(path).read_text().strip() if path else settings.broker.url
