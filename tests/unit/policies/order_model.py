"""The order said as plainly as possible: lists, scanned from end to end for every choice."""

from __future__ import annotations

from dataclasses import dataclass, field

from policies.lanes import LANES, LanePicker
from policies.order import Block, Item, Place, Share

UNIT = 1 << 20


@dataclass
class Account:
    """What is known of a party. `level` is that of those that are shared between below it."""

    tag: int = 0
    waited: bool = False


@dataclass
class Model:
    """`waiting` and `flying` are the whole truth; accounts hold what was charged, by lane and name(s)."""

    waiting: list[Item] = field(default_factory=list)
    flying: list[Item] = field(default_factory=list)
    blocks: set[Block] = field(default_factory=set)
    tenants: dict[str, Share] = field(default_factory=dict)
    workloads: dict[str, Share] = field(default_factory=dict)
    accounts: dict[tuple[str, ...], Account] = field(default_factory=dict)
    levels: dict[tuple[str, ...], int] = field(default_factory=dict)
    busy: dict[tuple[str, ...], bool] = field(default_factory=dict)
    picker: LanePicker = field(default_factory=LanePicker)

    def eligible(self) -> list[Item]:
        """Calls that may go: not blocked, first of their key, none of it in flight."""
        busy = {item.key for item in self.flying if item.key is not None}
        firsts: dict[str, int] = {}
        for item in self.waiting:
            if item.key is not None:
                firsts[item.key] = min(firsts.get(item.key, item.seq), item.seq)
        return [
            item
            for item in self.waiting
            if (item.key is None or (item.key not in busy and firsts[item.key] == item.seq))
            and not any(holds(block, item.place) for block in self.blocks)
        ]

    def sync(self) -> None:
        """Parties that have something to do now, and had nothing before, come in at the level."""
        names = {name for item in self.eligible() for name in parties(item.place)}
        for name in {*names, *self.accounts}:
            account = self.accounts.setdefault(name, Account())
            if name in names and not account.waited:
                account.tag = max(account.tag, self.levels.get(name[:-1], 0))
            account.waited = name in names
        for above in {name[:-1] for name in self.accounts}:
            party = [account for name, account in self.accounts.items() if name[:-1] == above]
            was = self.busy.get(above, False)
            self.busy[above] = any(account.waited for account in party)
            if was and not self.busy[above]:
                self.levels[above] = max(account.tag for account in party)

    def lane(self) -> str | None:
        """The lane whose turn it is."""
        return self.picker.peek({lane: any(item.place.lane == lane for item in self.eligible()) for lane in LANES})

    def lowest(self, above: tuple[str, ...]) -> set[str]:
        """Of those that share within `above`, who has charged the least."""
        tags = {n[-1]: a.tag for n, a in self.accounts.items() if n[:-1] == above and a.waited}
        return {name for name, tag in tags.items() if tag == min(tags.values())}

    def take(self, item: Item) -> None:
        """It was picked."""
        self.picker.pick({lane: any(i.place.lane == lane for i in self.eligible()) for lane in LANES})
        for name in parties(item.place):
            tags = [a.tag for n, a in self.accounts.items() if n[:-1] == name[:-1] and a.waited]
            self.levels[name[:-1]] = max(self.levels.get(name[:-1], 0), min(tags))
        for name in parties(item.place):
            self.accounts[name].tag += item.cost * UNIT // self.weight(name)
        self.waiting.remove(item)
        self.flying.append(item)
        self.sync()

    def land(self, item: Item, difference: int) -> None:
        """It is over, and cost so much more than was charged."""
        self.flying.remove(item)
        for name in parties(item.place):
            account, level = self.accounts[name], self.levels.get(name[:-1], 0)
            account.tag = max(account.tag + difference * UNIT // self.weight(name), min(level, account.tag))

    def weight(self, name: tuple[str, ...]) -> int:
        """Of a tenant (lane, tenant) or a workload (lane, tenant, workload)."""
        return (self.tenants if len(name) == 2 else self.workloads).get(name[-1], Share()).weight

    def reweigh(self, tenants: dict[str, Share], workloads: dict[str, Share]) -> None:
        """What a party is ahead by stays worth the same calls."""
        before = {name: self.weight(name) for name in self.accounts}
        self.tenants, self.workloads = tenants, workloads
        for name, account in self.accounts.items():
            if self.weight(name) != before[name]:
                level = self.levels.get(name[:-1], 0)
                account.tag = level + max(account.tag - level, 0) * before[name] // self.weight(name)


def parties(place: Place) -> list[tuple[str, ...]]:
    """Whose shares a call of this place counts against."""
    return [(place.lane, place.tenant), (place.lane, place.tenant, place.workload)]


def holds(block: Block, place: Place) -> bool:
    """Whether every word of the block is true of the place."""
    said = {name: value for name in block.__struct_fields__ if (value := getattr(block, name)) is not None}
    return all(getattr(place, name) == value for name, value in said.items())
