"""Questions about an incident of very many cases look at each case once."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.store.waves import WaveReads
from tests.support.stores import explain, running_store

pytestmark = pytest.mark.anyio


async def test_what_was_met_is_not_looked_through_again_for_every_case(tmp_path: Path) -> None:
    plans: list[list[str]] = []
    async with running_store(tmp_path) as store:
        reads, rows = store.reads, store.reads.rows

        async def spy(query, parameters=None):
            text = query.compile(store._engines[1].sync_engine, compile_kwargs={"render_postcompile": True})
            plans.append(await explain(store, str(text), text, parameters))
            return await rows(query, parameters)

        reads.rows = spy  # type: ignore[method-assign]
        waves = WaveReads(reads)
        await waves.waiting("acme", "INC-1", "d", 20)
        await waves.calls("acme", "INC-1", "acme/INC-1")
    assert len(plans) == 2
    assert not [line for plan in plans for line in plan if line.startswith("CORRELATED")]
