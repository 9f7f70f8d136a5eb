"""F9, F10, F11, F12: actors that crash, vanish, hang or are flooded do not take the house with them."""

import asyncio
import os
import re
import time
from pathlib import Path

import pytest

from actors.faults import SWITCH, UnknownFault, with_faults
from actors.runtime.mailbox import Mailbox
from ops.client import DaemonAway, Refused
from tests.support.checkers import audit_true, bounded, healed, money_findings, say
from tests.support.world import Sampler, World, adjustment, quiet_world, until, world

pytestmark = pytest.mark.slow
FLOOD = 50_000 if "TIDEGATE_FAULT_ROUNDS" in os.environ else 5_000


def restarts(house: World, actor: str) -> list[float]:
    """Delays, in seconds, before each restart of an actor, as logged."""
    found = re.findall(rf"ChildRestarting path='[^']*/{actor}' delay_seconds=([0-9.]+)", house.log())
    return [float(seconds) for seconds in found]


def all_posted(house: World, count: int, seconds: float = 60.0) -> None:
    """Everything that was sent is posted, once, and the house is well."""
    until(house.settled, "everything is settled", seconds)
    until(lambda: not list(healed(house.overview())), "healed")
    documents = house.erp.documents()
    assert len(documents) == count
    assert money_findings(house.told, documents, house.erp.log_path) == []
    assert list(audit_true(house.store_path)) == []


def test_an_actor_that_always_crashes_is_restarted_with_back_off_and_ends_the_process_with_the_reason(
    tmp_path: Path,
) -> None:
    with quiet_world(tmp_path, **{SWITCH: "crash:credit-policy"}) as house:
        begun = time.monotonic()
        house.daemon.start()
        code = house.daemon.wait(120)
        delays = restarts(house, "credit-policy")
        say("F9", 0, [], exit_code=code, restarts=len(delays), seconds=round(time.monotonic() - begun))
        assert code == 1
        assert re.search(r"CRITICAL.*gives up: .*credit-policy.*InjectedCrash", house.log())
        assert "Escalated path='/tidegate/deciders'" in house.log()
        assert delays[:3] == sorted(delays[:3]), "each delay is longer than the one before"
        assert len(delays) <= 5 * 6, "no busy loop: five restarts below, five times at the root, and once more"


def test_a_crash_of_the_poster_in_mid_work_is_felt_by_nobody_and_costs_no_money(tmp_path: Path) -> None:
    with world(tmp_path, **{SWITCH: "crash:erp-poster:3"}) as house:
        house.send([adjustment(f"case-{n}", f"acc-{n}") for n in range(60)])
        all_posted(house, 60)
        starts = {row["path"].rpartition("/")[2]: row["starts"] for row in house.overview()["actors"]}
        say("F9", 1, [], starts=starts["erp-poster"], look_ups=len(house.calls("find")))
        assert starts["erp-poster"] == 4
        assert starts["credit-policy"] == starts["http"] == starts["store-writer"] == 1


@pytest.mark.parametrize("actor", ["erp-poster", "erp-requests", "store-writer"])
def test_a_cancellation_that_nobody_sent_counts_as_a_crash(actor: str, tmp_path: Path) -> None:
    with world(tmp_path, **{SWITCH: f"cancel:{actor}:1"}) as house:
        pending = [adjustment(f"case-{n}", f"acc-{n}") for n in range(40)]
        until(lambda: not _sent(house, pending), "everything is taken in")
        all_posted(house, 40)
        last = house.actor(actor)["last_crash"] or ""
        say("F10", 0, [], actor=actor, starts=house.actor(actor)["starts"])
        assert "cancellation that nobody sent" in last


def _sent(house: World, pending: list[dict[str, object]]) -> list[dict[str, object]]:
    """Send what is not sent yet; what is still to be sent."""
    while pending:
        try:
            house.send(pending[:10])
        except (DaemonAway, Refused):
            return pending
        del pending[:10]
    return pending


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("return", "returned although nobody asked it to stop"),
        ("deaf", "it ignores cancellation"),
    ],
)
def test_an_actor_that_returns_or_ignores_its_cancellation_is_replaced(kind: str, words: str, tmp_path: Path) -> None:
    with world(tmp_path, **{SWITCH: f"{kind}:erp-poster:1"}) as house:
        house.send([adjustment(f"case-{n}", f"acc-{n}") for n in range(40)])
        until(lambda: house.actor("erp-poster").get("starts") == 2, "it is replaced", 30)
        all_posted(house, 40)
        say("F11", 0, [], kind=kind, look_ups=len(house.calls("find")))
        assert words in house.actor("erp-poster")["last_crash"]
        code = house.daemon.stop(60)
        assert code == 0


def test_a_switch_that_names_no_fault_is_refused() -> None:
    for told in ("explode:http", "crash:nobody", "crash:http:often", "crash"):
        with pytest.raises(UnknownFault, match="expected KIND:ACTOR"):
            with_faults({"http": lambda: NotImplemented}, {SWITCH: told})


# floods ---------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_flooded_mailbox_makes_its_senders_wait_and_drops_nothing() -> None:
    mailbox: Mailbox[int] = Mailbox(64)
    got: list[int] = []

    async def send(first: int) -> None:
        for number in range(first, 100_000, 8):
            await mailbox.put(number)

    async def receive() -> None:
        while len(got) < 100_000:
            got.append(await mailbox.get())

    async with asyncio.TaskGroup() as tasks:
        for first in range(8):
            tasks.create_task(send(first))
        tasks.create_task(receive())
    say("F12", 0, [], messages=len(got), peak=mailbox.statistics().peak)
    assert sorted(got) == list(range(100_000))
    assert mailbox.statistics().peak <= 64


def test_a_flood_of_messages_does_not_grow_the_process(tmp_path: Path) -> None:
    with world(tmp_path) as house, Sampler(house.daemon.pid) as sampler:
        with house.client() as client:
            for start in range(0, FLOOD, 500):
                client.send([adjustment(f"case-{n}", f"acc-{n % 5_000}") for n in range(start, start + 500)])
        until(lambda: house.overview()["messages"]["handled"] >= FLOOD, "everything is taken up", 120)
        until(lambda: len(house.calls()) >= 40, "the ERP is still served")
        findings = [*bounded(sampler.rss_bytes, sampler.descriptors)]
        say("F12", 1, findings, rss_megabytes=max(sampler.rss_bytes) // 1_000_000, descriptors=max(sampler.descriptors))
        assert findings == []
        assert list(house.overview()["calls"])
