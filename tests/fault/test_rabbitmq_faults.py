"""The broker's faults under load: nothing accepted is lost, each message is handled once and in order, and it heals."""

from pathlib import Path

import pytest

from ops.rabbitmq_node import shared_node
from tests.support.rabbitmq_faults import FAULTS, Fault, under

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.number} {fault.title}".replace(" ", "-"))
async def test_after_the_fault_every_invariant_holds(tmp_path: Path, fault: Fault) -> None:
    assert await under(fault, tmp_path, shared_node()) == []
