"""Views for people without the scope: no sensitive value survives any nesting."""

import json
from typing import Any

import msgspec
import pytest
from contract_samples import CASE, case

from contracts.catalogue import REGISTRY
from contracts.envelope import decode_envelope
from contracts.masking import MASK, mask
from contracts.records import Email, Event
from contracts.support import CaseOpened

CANARY = "canary-5d1c@example.com"


class Person(Event, frozen=True, kw_only=True):
    name: str
    email: Email | None = None


class Team(Event, frozen=True, kw_only=True):
    lead: Person
    members: list[Person]
    by_role: dict[str, Person]


def test_a_struct_is_masked_by_its_tags() -> None:
    data = REGISTRY.decode_data(decode_envelope(case(contact_email=CANARY)))
    view = mask(data, REGISTRY.resolve("support.case.opened"))
    assert view["contact_email"] == MASK
    assert {**view, "contact_email": CASE["contact_email"]} == CASE


def test_tags_hold_at_any_depth() -> None:
    person = Person(name="Ann", email=CANARY)
    view = mask(Team(lead=person, members=[person], by_role={"a": person}), Team)
    assert CANARY not in json.dumps(view)
    assert view["by_role"]["a"]["name"] == "Ann"


@pytest.mark.parametrize(
    "data",
    [
        {**CASE, "phone": CANARY},
        {**CASE, "contact_email": [CANARY]},
        {**CASE, "monthly_fee": {"amount": "1", "currency": "EUR", "note": CANARY}},
        {**CASE, "tier": {"deep": [CANARY]}},
    ],
)
def test_what_the_contract_does_not_name_is_masked_too(data: dict[str, Any]) -> None:
    assert CANARY not in json.dumps(mask(data, CaseOpened))


def test_an_absent_value_is_shown_as_absent() -> None:
    assert mask({**CASE, "contact_email": None}, CaseOpened)["contact_email"] is None


def test_masked_data_is_plain_builtins() -> None:
    assert msgspec.json.decode(msgspec.json.encode(mask(CASE, CaseOpened)))["case_id"] == CASE["case_id"]
