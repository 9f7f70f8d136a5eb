"""A running sandbox ERP for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.sandbox.process import SandboxProcess

from .client import Client, Start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an ERP with options of its own: `start("demo", limits=["1 concurrent"])`."""
    running: list[SandboxProcess] = []

    def begin(profile: str = "unlimited", **options: Any) -> Client:
        running.append(SandboxProcess(tmp_path / f"erp-{len(running)}", profile, **options))
        return Client(running[-1].start())

    yield begin
    for process in running:
        process.kill()


@pytest.fixture(scope="session")
def shared_erp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """One ERP without limits for the whole session."""
    with SandboxProcess(tmp_path_factory.mktemp("erp"), "unlimited") as process:
        yield process


@pytest.fixture
def erp(shared_erp: SandboxProcess) -> Client:
    """The shared ERP with all faults off."""
    shared_erp.set_faults()
    return Client(shared_erp)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key that no other test uses."""
    return str(request.node.name).replace("[", "-").replace("]", "")
