"""The ledger: one document a key, whatever arrives together."""

from pathlib import Path

import anyio
import msgspec
import pytest

from ops.sandbox.ledger import Entry, Ledger, Posted

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def entry(ledger: Ledger, key: str, fingerprint: str = "f", expires_ms: int | None = None) -> Entry:
    return Entry(
        ledger.next_document_id(),
        key,
        expires_ms,
        fingerprint,
        key,
        "acc",
        "1.00",
        "EUR",
        "case",
        "posted",
        "t",
        "r",
    )


async def post_together(ledger: Ledger, entries: list[Entry], now_ms: int = 0) -> list[Posted]:
    posted: dict[int, Posted] = {}

    async def post(index: int) -> None:
        posted[index] = await ledger.post(entries[index], now_ms)

    async with anyio.create_task_group() as group:
        for index in range(len(entries)):
            group.start_soon(post, index)
    return [posted[index] for index in range(len(entries))]


async def test_posts_that_arrive_together_make_one_document_a_key(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    posted = await post_together(ledger, [entry(ledger, f"k{index % 10}") for index in range(50)])
    assert [outcome.verdict for outcome in posted] == ["created"] * 10 + ["replayed"] * 40
    assert {outcome.entry.document_id for outcome in posted} == {f"ADJ-{n:08d}" for n in range(1, 11)}
    ledger.close()


async def test_a_key_with_another_fingerprint_is_a_mismatch(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    posted = await post_together(ledger, [entry(ledger, "k", "one"), entry(ledger, "k", "two")])
    assert [outcome.verdict for outcome in posted] == ["created", "mismatch"]
    ledger.close()


async def test_a_document_id_is_never_given_twice_across_processes(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    await post_together(ledger, [entry(ledger, key) for key in ("a", "a", "a", "b")])
    ledger.close()
    again = Ledger(tmp_path / "ledger")
    (posted,) = await post_together(again, [entry(again, "c")])
    assert posted.verdict == "created"
    assert posted.entry.document_id == "ADJ-00000005"
    again.close()


async def test_an_expired_key_makes_a_second_document_with_the_same_reference(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    await post_together(ledger, [entry(ledger, "k", expires_ms=1_000)], now_ms=0)
    (early,) = await post_together(ledger, [entry(ledger, "k", expires_ms=1_999)], now_ms=999)
    (late,) = await post_together(ledger, [entry(ledger, "k", expires_ms=2_000)], now_ms=1_000)
    assert (early.verdict, late.verdict) == ("replayed", "created")
    assert len(await ledger.find("reference", "k")) == 2
    ledger.close()


async def test_text_survives_the_way_through_json_and_sql(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    odd = "a'b\"c\\d;-- \u00fc \u65e5\u672c \U0001f4b6"
    (posted,) = await post_together(ledger, [entry(ledger, odd)])
    (found,) = await ledger.find("reference", odd)
    assert msgspec.structs.asdict(found) == msgspec.structs.asdict(posted.entry)
    ledger.close()
