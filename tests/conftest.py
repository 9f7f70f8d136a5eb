"""Every async test runs on the loop that the daemon runs on."""

from typing import Any

import pytest


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """asyncio on uvloop."""
    return "asyncio", {"use_uvloop": True}
