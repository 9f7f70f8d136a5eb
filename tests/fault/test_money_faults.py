"""Money moves once under each of these faults; `make fault-money` runs the whole catalogue.

The faults that older tests of this folder show in seconds are not repeated here.
"""

from pathlib import Path

import pytest

from tests.support.money_catalogue import FAULTS, MoneyFault

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.quick], ids=lambda fault: f"{fault.number} {fault.title}")
def test_after_the_fault_every_invariant_holds(tmp_path: Path, fault: MoneyFault) -> None:
    assert fault.run(tmp_path) == []
