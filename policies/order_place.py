"""A call's place in line: how many calls go before it at most, if no more come in. The bounds are those of `order.py`.

Somebody who asks does so in the middle of a round: their tenant may have had its turn just now. So one more round is
counted than for a tenant that is new, and what comes out is never less than what happens with calls of equal cost.
"""

from collections.abc import Mapping
from typing import TypeAlias

from policies.lanes import LANES, LanePicker
from policies.order_lines import Place
from policies.order_shares import EQUAL, Share

Waiting: TypeAlias = Mapping[tuple[str, str, str], int]
"""Calls that wait by lane, tenant and workload."""


def calls_before(
    place: Place,
    before: int,
    waiting: Waiting,
    picker: LanePicker,
    tenants: Mapping[str, Share],
    workloads: Mapping[str, Share],
) -> int:
    """At most so many calls go before the one with `before` calls before it in its lane, tenant and workload."""
    mine = place.lane, place.tenant, place.workload
    share = tenants.get(place.tenant, EQUAL)
    flows: dict[str, int] = {}
    others: dict[str, int] = {}
    lanes = dict.fromkeys(LANES, 0)
    for (lane, tenant, workload), count in waiting.items():
        lanes[lane] += count
        if lane == place.lane and tenant == place.tenant and (lane, tenant, workload) != mine:
            flows[workload] = count
        elif lane == place.lane and tenant != place.tenant:
            others[tenant] = others.get(tenant, 0) + count
    in_tenant = before + _rounds(before + 1, workloads.get(place.workload, EQUAL).weight, flows, workloads)
    in_lane = in_tenant + _rounds(in_tenant + 1, share.weight, others, tenants)
    in_lane += _for_minima(in_lane + 1, others, tenants)
    in_lane = min(in_lane, before + sum(flows.values()) + sum(others.values()))
    if share.minimum_percent:
        in_lane = min(in_lane, (in_tenant + 1) * (100 // share.minimum_percent))
    return _over_lanes(place.lane, in_lane, lanes, picker)


def _rounds(turns: int, weight: int, others: Mapping[str, int], shares: Mapping[str, Share]) -> int:
    """Calls of others at most, before somebody of this weight has had so many turns."""
    return sum(
        min(count, turns * shares.get(name, EQUAL).weight // weight + 1) for name, count in others.items() if count > 0
    )


def _for_minima(picks: int, others: Mapping[str, int], tenants: Mapping[str, Share]) -> int:
    """Picks at most that go to the minima of others on top, while so many go by shares."""
    percent = sum(tenants[name].minimum_percent for name, count in others.items() if count > 0 and name in tenants)
    return -(-picks * percent // (100 - percent)) + sum(name in tenants for name in others) if percent else 0


def _over_lanes(lane: str, in_lane: int, lanes: Mapping[str, int], picker: LanePicker) -> int:
    """With what the lanes above have, and what the floors below take: never more than the lane's own floor allows."""
    rank = LANES.index(lane)
    above = sum(lanes[other] for other in LANES[:rank])
    below = sum(lanes[other] for other in LANES[rank + 1 :])
    total = above + in_lane
    if below:
        total += min(below, _for_floors(total + 1))
    if not above and not below:
        return total
    try:
        return min(total, picker.wait_bound(lane, in_lane) - 1)
    except ValueError:  # a lane without a floor has no bound of its own
        return total


def _for_floors(picks: int) -> int:
    """Floors are half of all picks together at most, so as many again."""
    return picks + len(LANES)
