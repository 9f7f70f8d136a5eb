"""One suite, every engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.engines import EngineCase, World, parameters


@pytest.fixture(params=parameters())
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> EngineCase:
    """The engine under test, and the test's own place made ready for it."""
    case: EngineCase = request.param
    case.prepare(tmp_path)
    return case


@pytest.fixture
async def world(engine: EngineCase, tmp_path: Path) -> AsyncIterator[World]:
    """A connected broker with nothing in it."""
    async with engine.opened(tmp_path) as opened:
        yield opened
