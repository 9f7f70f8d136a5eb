"""Equal meaning gives an equal fingerprint, another meaning another one; intents have one id for life."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.fingerprint import canonical, fingerprint
from contracts.ids import intent_id

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


@given(values)
def test_key_order_spacing_and_escapes_do_not_matter(value: Any) -> None:
    plain = json.dumps(value, ensure_ascii=False).encode()
    other = json.dumps(turned(value), indent=2).encode()
    assert fingerprint(plain, "a.b") == fingerprint(other, "a.b")


@given(values, values)
def test_the_canonical_form_is_equal_just_when_the_meaning_is(left: Any, right: Any) -> None:
    def typed(value: Any) -> Any:
        if isinstance(value, bool) or value is None:
            return ("word", value)
        if isinstance(value, dict):
            return {key: typed(item) for key, item in value.items()}
        return [typed(item) for item in value] if isinstance(value, list) else value

    same = canonical(json.dumps(left).encode()) == canonical(json.dumps(right).encode())
    assert same == (typed(left) == typed(right))


def test_a_whole_float_is_the_integer_it_equals() -> None:
    assert canonical(b'{"a":1.0,"b":-0.0,"c":1e2,"d":0.5,"e":"1.0"}') == b'{"a":1,"b":0,"c":100,"d":0.5,"e":"1.0"}'


def test_another_value_type_or_message_type_gives_another_fingerprint() -> None:
    prints = {fingerprint(b'{"a":1}', "x"), fingerprint(b'{"a":2}', "x"), fingerprint(b'{"a":"1"}', "x"),
              fingerprint(b'{"a":true}', "x"), fingerprint(b'{"a":1}', "y")}  # fmt: skip
    assert len(prints) == 5


def test_a_fingerprint_never_changes_between_releases() -> None:
    assert fingerprint(b'{"b": 1, "a": "x"}', "t") == fingerprint(b'{"a":"x","b":1}', "t")
    assert len(fingerprint(b"{}", "t")) == 32


def test_an_intent_id_is_a_function_of_its_three_parts() -> None:
    assert intent_id("acme", "service-credit", "CASE-1") == intent_id("acme", "service-credit", "CASE-1")
    assert intent_id("acme", "service-credit", "CASE-1") != intent_id("acme", "service-creditC", "ASE-1")
    assert intent_id("acme", "refund", "CASE-1", prefix="RF").startswith("RF-")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_intent_id_is_20_unmistakable_characters(key: str) -> None:
    one = intent_id("t", "w", key)
    assert len(one) == 23
    assert set(one[3:]) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
