"""A bench: write the two files, certify, look at the certificate."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ops.certificate import Certificate, certify
from tests.unit.certificate.logs import Certify, write


@pytest.fixture
def certified(tmp_path: Path) -> Certify:
    def run(
        log: Iterable[Mapping[str, Any]], asked: Iterable[Mapping[str, Any]] | None = None, **more: Any
    ) -> Certificate:
        log_path = write(tmp_path / "erp.jsonl", log)
        asked_path = None if asked is None else write(tmp_path / "accepted.jsonl", asked)
        return certify(log_path, asked_path, **more)

    return run
