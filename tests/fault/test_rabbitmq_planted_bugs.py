"""The suite can fail: leave out one remedy of the RabbitMQ engine, and the invariant that breaks is named.

Each schedule runs with the bug and without it; without it, nothing is found.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from ops.rabbitmq_node import shared_node
from tests.support.rabbitmq_remedies import REMEDIES, Remedy, without

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(autouse=True)
async def deadline() -> AsyncIterator[None]:
    """What hangs fails."""
    shared_node()
    with anyio.fail_after(60):
        yield


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.name)
async def test_a_missing_remedy_is_named_by_the_invariant_that_breaks(remedy: Remedy, tmp_path: Path) -> None:
    found = await without(remedy, tmp_path, shared_node())
    assert remedy.invariant in {finding.invariant for finding in found}, found


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.name)
async def test_with_the_remedy_the_same_schedule_finds_nothing(remedy: Remedy, tmp_path: Path) -> None:
    assert await remedy.schedule(tmp_path, shared_node()) == []
