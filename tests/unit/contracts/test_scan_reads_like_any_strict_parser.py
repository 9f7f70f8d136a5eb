"""What the scan accepts, every strict JSON parser accepts with the same value; nothing else escapes."""

import json
from typing import Any

import pytest
from contract_samples import case
from hypothesis import example, given
from hypothesis import strategies as st

from contracts import exact
from contracts.caps import Caps
from contracts.errors import ContractError
from contracts.scan import scan, split_batch

SMALL = Caps(bytes_max=4096, depth_max=4, values_max=20, digits_max=10, key_characters_max=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=20,
)
pieces = st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b'"a"', b'"b" ', b'"__proto__"', b'""',
         b"\\u0061", b"\\u003a", b"\\ud83d\\ude00", b"\\ud800", b"\\n", b"\\b", b"0", b"-", b"1", b".5",
         b"e9", b"e400", b"12345678901", b"true", b"null", b"NaN", b"Infinity", b" ", b"\n", b"\x00", b"\x7f",
         b"\xc2\x85", b"\xc3\xa9", b"\xff", b"\xef\xbb\xbf"]
    ),
    max_size=24,
).map(b"".join)  # fmt: skip


def strictly(body: bytes) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    def finite(text: str) -> Any:
        raise AssertionError(text)

    return json.loads(body.decode("utf-8"), object_pairs_hook=once, parse_constant=finite)


def outcome(check: Any, body: bytes, caps: Caps) -> tuple[str, str] | None:
    try:
        check(body, caps)
    except ContractError as error:
        return error.code, error.path
    return None


@given(values)
def test_what_scan_accepts_any_parser_reads_the_same(value: Any) -> None:
    for ascii_only in (True, False):
        body = json.dumps(value, ensure_ascii=ascii_only).encode()
        try:
            document = scan(body)
        except ContractError:
            continue
        assert repr(document) == repr(strictly(body))


@given(st.binary(max_size=60) | pieces)
@example(b'{"a":{"b":1},"b":[{"a":1},{"a":2}]}')
@example(b'{"a\\u003ab":1,"a":2,"a":3}')
@example(b'"\\\\u0000"')
@example(b'{"a":"\\"__proto__\\":","b":"\\"\\":"}')
def test_the_fast_pass_and_the_exact_pass_agree(body: bytes) -> None:
    for caps in (SMALL, Caps()):
        assert outcome(scan, body, caps) == outcome(exact.check, body, caps) or not body
        if outcome(scan, body, caps) is None:
            assert repr(scan(body, caps)) == repr(strictly(body))


@given(st.integers(0, 700), st.binary(min_size=0, max_size=3))
def test_a_damaged_event_is_refused_or_read_like_any_parser_does(at: int, piece: bytes) -> None:
    whole = case()
    body = whole[:at] + piece + whole[at + 1 :]
    if outcome(scan, body, Caps()) is None:
        assert scan(body) == strictly(body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[[[[[]]]]]", "json.too_deep"),
        (b"[" + b"1," * 19 + b"1]", "json.too_many_values"),
        (b"12345678901", "json.number_too_long"),
        (b"1.2345678901", "json.number_too_long"),
        (b'{"123456789":1}', "field.unknown"),
        (b'["' + b"x" * 5000 + b'"]', "body.too_large"),
    ],
)
def test_each_cap_holds_at_one_more(body: bytes, code: str) -> None:
    found = outcome(scan, body, SMALL)
    assert found is not None
    assert found[0] == code


@pytest.mark.parametrize(
    "body", [b"[[[[]]]]", b"[" + b"1," * 18 + b"1]", b"1234567890", b'{"12345678":"' + b"x" * 100 + b'"}']
)
def test_each_cap_lets_its_limit_pass(body: bytes) -> None:
    assert scan(body, SMALL) == strictly(body)


def test_keys_may_repeat_in_different_objects() -> None:
    assert scan(b'[{"a":1},{"a":2,"b":{"a":3}}]') == [{"a": 1}, {"a": 2, "b": {"a": 3}}]


@pytest.mark.parametrize("body", [b'"' + b'\\"' * 130_000, b'{"' * 130_000, b'"\\' * 130_000, b'"a":' * 60_000])
def test_hostile_quotes_are_refused(body: bytes) -> None:
    assert outcome(scan, body, Caps()) is not None


def test_a_batch_gives_the_raw_bytes_of_each_event() -> None:
    assert split_batch(b' [ {"a":"],["} ,\n[1, 2],"x" ] ') == [b'{"a":"],["}', b"[1, 2]", b'"x"']


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "body.empty"),
        (b"[]", "batch.count"),
        (b"[" + b"1," * 1000 + b"1]", "batch.count"),
        (b"[" + b"[]," * 1_000_000 + b"[]]", "batch.count"),
        (b"{}", "field.type"),
        (b"1", "field.type"),
        (b"[1,]", "json.syntax"),
        (b"[1", "json.syntax"),
        (b"[1]2", "json.syntax"),
        (b"[1}", "json.syntax"),
        (b"\xff", "json.encoding"),
        (b"[" * 100_000, "json.too_deep"),
        (b" " * (4 * 1024 * 1024 + 1), "body.too_large"),
    ],
)
def test_a_bad_batch_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(ContractError) as caught:
        split_batch(body)
    assert caught.value.code == code


@given(st.lists(values, min_size=1, max_size=6), st.sampled_from([None, 1]))
def test_a_batch_splits_where_any_parser_would(events: list[Any], indent: int | None) -> None:
    parts = split_batch(json.dumps(events, indent=indent).encode())
    assert repr([json.loads(part) for part in parts]) == repr(events)


@given(st.binary(max_size=40) | pieces)
def test_the_exact_splitter_gives_what_the_fast_one_gives(body: bytes) -> None:
    try:
        parts = split_batch(b"[" + body + b"]")
    except ContractError:
        return
    if all(outcome(scan, part, Caps()) is None for part in parts):
        assert [scan(part) for part in parts] == strictly(b"[" + body + b"]") or b"__proto__" in body
