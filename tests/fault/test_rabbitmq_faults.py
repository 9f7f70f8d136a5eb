"""The broker's faults under load: nothing accepted is lost, each message is handled once and in order, and it heals.

Four of the catalogue, each of another kind; `make fault-rabbitmq` runs all of it.
"""

from pathlib import Path

import pytest

from ops.rabbitmq_node import shared_node
from tests.support.rabbitmq_faults import FAULTS, Fault, under

pytestmark = pytest.mark.anyio
HERE = ("broker SIGKILL", "queues deleted under their consumers", "password changed", "broker back empty")


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.title in HERE], ids=lambda fault: fault.number)
async def test_after_the_fault_every_invariant_holds(tmp_path: Path, fault: Fault) -> None:
    assert await under(fault, tmp_path, shared_node()) == []
