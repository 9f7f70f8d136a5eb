"""`ops/docs/erp-log.md`: its examples are read, its names of findings are those of the certificate."""

import re
from pathlib import Path

import msgspec

import ops.certificate
from ops.certificate import AcceptedRow, Terms
from ops.certificate.accepted import Away, Held, Other, Steered
from ops.certificate.records import Record
from tests.unit.certificate.logs import SECOND, Certify, accepted, header, post

PAGE = (Path(ops.certificate.__file__).parents[1] / "docs" / "erp-log.md").read_text("utf-8")


def examples() -> list[str]:
    blocks = re.findall(r"```json\n(.*?)```", PAGE, re.S) + re.findall(r"`(\{\"(?:seq|event)\".*?\})`", PAGE)
    return [
        line.replace("[..]", "[]").replace('".."', '"x"').replace(":..", ":1")
        for block in blocks
        for line in block.strip().splitlines()
    ]


def test_every_example_can_be_read() -> None:
    assert len(examples()) == 8
    for line in examples():
        kind = (
            Held | Away | Steered | Other
            if '"event"' in line and '"limits"' not in line and '"arrived"' not in line
            else Record
        )
        msgspec.json.decode(line, type=AcceptedRow if '"sequence"' in line else kind)


def test_every_finding_is_on_the_page(certified: Certify) -> None:
    rows = [accepted(1), {"event": "held", "from_ns": 5, "to_ns": 6}]
    refused = post(2, SECOND, status=429, verdict="refused", document=None, retry_after="1")
    certificate = certified([header(), post(1, 0), refused], rows, terms=Terms())
    names = {check.name for check in certificate.checks} | {"chain"}
    assert names == {name for name in names if f"`{name}`" in PAGE}
    assert {"rounds", "floor", "frozen", "held"} <= names
