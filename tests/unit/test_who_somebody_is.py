"""Somebody is the name of the token they hold; what cannot be told apart is refused at the start."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from actors.credentials import Keyring, keyring
from actors.doors.http.who import check_poster
from actors.settings import Approval, Data, Operators, Settings, SettingsRefused, check
from contracts.envelope import Envelope
from contracts.errors import ContractError
from policies.approval import UNNAMED, Person
from policies.approval_words import Named, everybody, of_finance, read_operators

LONG = "a-token-of-some-length"


def settings(tmp_path: Path, **tokens: str) -> Settings:
    """Named operators whose files hold these tokens."""
    for name, token in tokens.items():
        (tmp_path / name).write_text(token)
    named = tuple(f"{name} as finance-manager with {tmp_path / name}" for name in tokens)
    return Settings(data=Data(str(tmp_path)), operators=Operators(named))


def test_a_token_tells_who_somebody_is_whatever_they_say(tmp_path: Path) -> None:
    ring = keyring(settings(tmp_path, anna=LONG, tom=LONG + "2"))
    assert (ring.who(LONG), ring.who(LONG + "2"), ring.who(LONG + "3"), ring.who("")) == ("anna", "tom", None, None)
    assert ring.who(ring.shared) == UNNAMED
    assert ring.signed("anna", "tom") == "anna"
    assert ring.signed(UNNAMED, "tom") == UNNAMED, "nobody passes for somebody who has a token"
    assert Keyring("shared").signed(UNNAMED, "tom") == "tom", "with one token only, who it is is only said"
    assert stat.S_IMODE((tmp_path / "operator.token").stat().st_mode) == 0o600


@pytest.mark.parametrize("tokens", [{"anna": "short"}, {"anna": LONG, "tom": LONG}])
def test_tokens_that_tell_nobody_apart_are_refused(tmp_path: Path, tokens: dict[str, str]) -> None:
    with pytest.raises(SettingsRefused, match=r"operators\.named"):
        keyring(settings(tmp_path, **tokens))


def test_a_file_that_is_not_there_and_the_shared_token_are_refused(tmp_path: Path) -> None:
    away = Settings(data=Data(str(tmp_path)), operators=Operators((f"anna with {tmp_path}/away",)))
    with pytest.raises(SettingsRefused, match="anna cannot be read"):
        keyring(away)
    shared = (tmp_path / "operator.token").read_text()
    with pytest.raises(SettingsRefused, match="somebody else"):
        keyring(settings(tmp_path, anna=shared))


def test_people_with_tokens_ask_in_their_own_name_and_without_tokens_anybody_says_who() -> None:
    ring = Keyring("shared", {"anna": LONG})
    ring.requester("anna", "anna")
    for who, claimed, code in ((None, "anna", "auth.missing"), ("anna", "tom", "approval.requester")):
        with pytest.raises(ContractError) as error:
            ring.requester(who, claimed)
        assert error.value.code == code
    Keyring("shared").requester(None, "anybody")


def test_operators_are_written_as_people_speak() -> None:
    found = read_operators(["anna as finance-manager with /run/anna", "dana with /run/dana"])
    assert found == {"anna": Named("anna", "/run/anna", "finance-manager"), "dana": Named("dana", "/run/dana")}
    assert everybody(["tom=cfo"], ["anna as finance-manager with /a", "dana with /d"]) == {
        "tom": Person("tom", "cfo"),
        "anna": Person("anna", "finance-manager"),
    }


@pytest.mark.parametrize("words", [
    ["anna"], ["anna as with /a"], ["as cfo with /a"], ["anna as king with /a"], ["anna with "],
    ["anna with /a", "anna with /b"], [f"{UNNAMED} with /a"],
])  # fmt: skip
def test_what_cannot_be_read_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"is not name as role|is not a role|named twice|one token"):
        read_operators(words)


def test_nobody_has_two_roles() -> None:
    with pytest.raises(ValueError, match="cfo in approval"):
        everybody(["anna=cfo"], ["anna as finance-clerk with /a"])
    assert Approval().people == ()


def sent(type_: str) -> Envelope:
    return Envelope(id="1", source="urn:test", type=type_, tenant="acme", data=msgspec.Raw(b"{}"))


@pytest.mark.parametrize(("token", "code"), [
    (None, "auth.missing"), ("nobody's", "auth.invalid"), (LONG + "sam", "approval.direct"),
    ("shared", "approval.direct"), (LONG + "anna", None),
])  # fmt: skip
def test_adjustments_are_sent_by_people_of_finance_where_that_is_set(token: str | None, code: str | None) -> None:
    ring = Keyring("shared", {"anna": LONG + "anna", "sam": LONG + "sam"})
    posters = of_finance({"anna": Person("anna", "finance-clerk"), "sam": Person("sam", "support-lead")})
    headers = {} if token is None else {b"authorization": f"Bearer {token}".encode()}
    found = None
    try:
        check_poster(ring, posters, headers, sent("erp.adjustment.request"))
    except ContractError as error:
        found = error.code
    assert found == code
    check_poster(ring, posters, {}, sent("support.case.opened"))
    check_poster(ring, None, {}, sent("erp.adjustment.request"))


def test_a_door_that_nobody_could_pass_is_refused_at_the_start() -> None:
    alone = Approval(direct_needs_finance=True, people=("sam=support-lead",))
    with pytest.raises(SettingsRefused, match=r"approval\.direct_needs_finance"):
        check(Settings(approval=alone))
    assert check(Settings(approval=Approval(direct_needs_finance=True, people=("operator=finance-clerk",))))
    assert not Settings().approval.direct_needs_finance
