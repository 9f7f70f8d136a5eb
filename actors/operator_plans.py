"""The way of every command: planned, shown under a token or carried out at once, remembered, and taken back.

A plan says what it concerns (`effect`), what state of the world it was made for (`digest`), how the change is
written, and what takes it back. A dry run stores the plan under a token; carrying a token out plans anew and goes on
only if the digest is the same, so what is done is what was shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from actors.house import House
from actors.operator_records import Effect, Undo
from actors.runtime.clock import microseconds, moment
from broker.store.operators import OperationRecord, OperatorReads
from broker.store.orders import Conflict
from broker.store.rows import AuditRow, OperationDone, OperationRow, OperationUndone
from broker.store.unit import Unit
from contracts.errors import ContractError

TOKEN_SECONDS = 900
_US = 1_000_000
_json = msgspec.json.Encoder(order="deterministic")


class Plan(msgspec.Struct, frozen=True):
    """A command that was checked. `write` adds its rows to a unit; `calls` tells that waiting calls are changed."""

    effect: Effect
    who: str
    command: msgspec.Struct
    digest: str
    write: Callable[[Unit], None]
    undo: Callable[[int], Undo | None]
    """Given the moment of the commit."""
    note: str = ""
    """What is said when it is done; the effect's own note if this is empty."""
    calls: bool = False
    prepare: Callable[[str], Awaitable[str]] | None = None
    """Something that must be safe before the change is made, such as an export: given the operation, its path."""


def digest_of(*parts: Any) -> str:
    """Stands for a state of the world."""
    return hashlib.sha256(_json.encode(parts)).hexdigest()


class Plans:
    """Shows and carries out plans. Everything it writes is one transaction a plan."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._reads = OperatorReads(house.store.reads)

    def _now(self) -> int:
        return microseconds(self._house.clock.now())

    def _new_id(self) -> str:
        return f"op-{self._house.entropy.new_id()[:12]}"

    async def show(self, plan: Plan) -> Effect:
        """Keep the plan under a token for a quarter of an hour.

        Raises:
            StoreUnavailable: it could not be kept.
        """
        now, id = self._now(), self._new_id()
        expires = now + TOKEN_SECONDS * _US
        shown = msgspec.structs.replace(plan.effect, done=False, token=id, expires=_text(expires))
        row = self._row(plan, id, shown, now)
        await self._house.store.commit(Unit(now, operations=[msgspec.structs.replace(row, expires_at=expires)]))
        return shown

    def _row(self, plan: Plan, id: str, effect: Effect, now: int) -> OperationRow:
        return OperationRow(
            id=id,
            verb=plan.effect.verb,
            who=plan.who,
            command=_json.encode(plan.command).decode(),
            digest=plan.digest,
            effect=_json.encode(effect).decode(),
            made_at=now,
        )

    async def carry_out(self, plan: Plan, token: str | None = None) -> Effect:
        """Make it durable and in force; what was done, with the name to undo it.

        Raises:
            ContractError: operation.moved: the world is no longer as it was shown; nothing was changed.
            StoreUnavailable: nothing was changed.
        """
        now, id = self._now(), token or self._new_id()
        undo = plan.undo(now)
        export = None if plan.prepare is None else await plan.prepare(id)
        done = msgspec.structs.replace(plan.effect, done=True, operation=id, note=_done_note(plan), export=export)
        unit = Unit(now)
        plan.write(unit)
        unit.audits.append(_audit(plan, id, done, now))
        undo_text = None if undo is None else _json.encode(undo).decode()
        if token is None:
            row = self._row(plan, id, done, now)
            unit.operations.append(msgspec.structs.replace(row, done_at=now, undo=undo_text))
        else:
            unit.operations_done.append(OperationDone(id, now, _json.encode(done).decode(), undo_text))
        await self.write(unit, plan.calls)
        return done

    async def write(self, unit: Unit, calls: bool) -> None:
        """Commit a unit of an operator, and return when no call can start any more that it forbids.

        Raises:
            ContractError: operation.moved.
            StoreUnavailable: nothing was changed.
        """
        house = self._house
        try:
            if calls and house.poster is not None:
                await house.poster.rewrite(unit)
            else:
                await house.controls.commit(unit)
        except Conflict as conflict:
            detail = f"Meanwhile things have changed ({conflict}). Nothing was done; look again with a dry run."
            raise ContractError("operation.moved", detail) from None
        house.live.apply()
        if not calls:
            for poster in tuple(house.posters.values()):
                await poster.settle_orders()

    async def shown(self, token: str) -> OperationRecord:
        """What was shown under a token.

        Raises:
            ContractError: operation.token: unknown, carried out already, or too old.
        """
        found = await self._reads.operation(token)
        if found is None or found.expires_at is None:
            raise ContractError("operation.token", "No dry run has given this token out.", "/token")
        if found.done_at is not None:
            detail = f"It was carried out at {_text(found.done_at)} already."
            raise ContractError("operation.token", detail, "/token")
        if found.expires_at <= self._now():
            detail = f"It was good until {_text(found.expires_at)}. Look again with a dry run."
            raise ContractError("operation.token", detail, "/token")
        return found

    async def done(self, id: str) -> tuple[OperationRecord, Undo]:
        """A done operation and what takes it back.

        Raises:
            ContractError: operation.no_undo: unknown, taken back already, or not to be taken back.
        """
        found = await self._reads.operation(id)
        if found is None or found.done_at is None:
            raise ContractError("operation.no_undo", "No operation of this name was carried out.", "/operation")
        if found.undone_at is not None:
            raise ContractError(
                "operation.no_undo", f"It was undone at {_text(found.undone_at)} already.", "/operation"
            )
        if found.undo is None:
            detail = f"{found.verb} cannot be undone: what it did has been told to others."
            raise ContractError("operation.no_undo", detail, "/operation")
        return found, msgspec.json.decode(found.undo, type=Undo)

    async def operations(self, limit: int) -> list[OperationRecord]:
        """The last operations that were carried out, newest first."""
        return await self._reads.operations(limit)

    def take_back(self, unit: Unit, id: str) -> None:
        """Have a unit say that the operation was undone."""
        unit.operations_undone.append(OperationUndone(id, unit.at))


def _done_note(plan: Plan) -> str:
    """The effect was worded for what would be; now it is."""
    return plan.note or plan.effect.note


def _audit(plan: Plan, id: str, effect: Effect, now: int) -> AuditRow:
    facts = {
        "operation": id,
        "reason": getattr(plan.command, "reason", None),
        "before": effect.before,
        "after": effect.after,
        "until": effect.until,
        "calls": effect.waiting_calls,
        "money": effect.money or None,
        "export": effect.export,
    }
    reason = getattr(plan.command, "reason", None) or ""
    inputs = f"operation {id} digest {plan.digest}"
    return AuditRow(now, plan.who, f"operation.{effect.verb}", effect.target, facts, cause=reason, inputs=inputs)


def _text(at: int) -> str:
    return moment(at).isoformat(timespec="seconds").replace("+00:00", "Z")
