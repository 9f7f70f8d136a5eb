"""Why a document does not fit a type: the code, the JSON pointer and plain words.

msgspec decodes fast but says little, and gives no exact path below a mapping. When it refuses, the document
is walked here beside the type, and the first misfit is told. Never on the fast path.
"""

import re
from datetime import datetime
from typing import Any, Final, NoReturn

import msgspec
from msgspec import inspect

from contracts.errors import ContractError, cut, nearest, pointer
from contracts.money import Money
from contracts.text import DATE_EXPECTED, check_moment

# Fields that only we write; naming them in a request is a wish to write history.
READ_ONLY: Final = frozenset({"status", "posted_at", "attempts", "document_id", "accepted_at"})
_SHOWN_MAX: Final = 20


def explain(document: Any, kind: Any, path: str = "") -> NoReturn:
    """Raise the ContractError that tells why `document` (builtins) is no `kind`; `path` is put in front."""
    _check(document, inspect.type_info(kind), path, {})
    raise ContractError("field.type", "The document does not fit its contract.", path)


def _check(value: Any, kind: inspect.Type, path: str, extra: dict[str, Any]) -> None:
    match kind:
        case inspect.Metadata():
            _check(value, kind.type, path, {**extra, **(kind.extra or {})})
        case inspect.UnionType():
            _union(value, kind, path, extra)
        case inspect.StructType():
            _struct(value, kind, path)
        case inspect.DictType():
            _mapping(value, kind, path, extra)
        case inspect.ListType() | inspect.VarTupleType():
            _list(value, kind, path, extra)
        case inspect.CustomType() if kind.cls is Money:
            _money(value, path, extra)
        case inspect.AnyType() | inspect.RawType():
            return
        case _:
            _scalar(value, kind, path, extra)


def _union(value: Any, kind: inspect.UnionType, path: str, extra: dict[str, Any]) -> None:
    if value is None and kind.includes_none:
        return
    branches = [branch for branch in kind.types if not isinstance(branch, inspect.NoneType)]
    fitting = [branch for branch in branches if _json_name(value) == _expected(branch)]
    if len(branches) > 1 and not fitting:
        _wrong_type(value, " or ".join(map(_expected, branches)), path)
    _check(value, (fitting or branches)[0], path, extra)


def _struct(value: Any, kind: inspect.StructType, path: str) -> None:
    if not isinstance(value, dict):
        _wrong_type(value, "object", path)
    known = {field.encode_name: field for field in kind.fields}
    for name, field in known.items():
        if name in value:
            _check(value[name], field.type, path + pointer(name), {})
        elif field.required:
            raise ContractError("field.missing", f'"{name}" is required. Add it.', path + pointer(name))
    if kind.forbid_unknown_fields:
        _no_unknown(value, list(known), path)


def _no_unknown(value: dict[str, Any], known: list[str], path: str) -> None:
    for name in value:
        if name in known:
            continue
        where = path + pointer(name)
        if name in READ_ONLY:
            raise ContractError("field.read_only", f'"{name}" is set by Tidegate only. Leave it out.', where)
        guess = nearest(name, known)
        hint = f'Did you mean "{guess}"?' if guess else "Remove it."
        raise ContractError("field.unknown", f"This field is not known. {hint}", where, nearest=guess, allowed=known)


def _mapping(value: Any, kind: inspect.DictType, path: str, extra: dict[str, Any]) -> None:
    if not isinstance(value, dict):
        _wrong_type(value, "object", path)
    _count(value, kind, path, extra)
    for name, item in value.items():
        _check(name, kind.key_type, path + pointer(name), {})
        _check(item, kind.value_type, path + pointer(name), {})


def _list(value: Any, kind: inspect.ListType | inspect.VarTupleType, path: str, extra: dict[str, Any]) -> None:
    if not isinstance(value, list):
        _wrong_type(value, "array", path)
    _count(value, kind, path, extra)
    for index, item in enumerate(value):
        _check(item, kind.item_type, path + pointer(index), {})


def _count(value: Any, kind: Any, path: str, extra: dict[str, Any]) -> None:
    least, most = kind.min_length or 0, kind.max_length
    if len(value) < least or (most is not None and len(value) > most):
        detail = f"Expected {least} to {most if most is not None else 'any number of'} entries, got {len(value)}."
        raise ContractError(
            extra.get("code", "lines.count"), detail, path, limit=most, minimum=least, actual=len(value)
        )


def _money(value: Any, path: str, extra: dict[str, Any]) -> None:
    if not isinstance(value, dict):
        _wrong_type(value, "object", path)
    try:
        money = Money.from_wire(value)
    except ContractError as error:
        raise error.at(path) from None
    if extra.get("positive"):
        check_positive(money, path)


def check_positive(money: Money, path: str) -> None:
    """Raise money.range unless `money` is more than nothing."""
    if money.minor <= 0:
        raise ContractError("money.range", "An amount to post is more than 0.", path + "/amount", minimum=1)


def _scalar(value: Any, kind: inspect.Type, path: str, extra: dict[str, Any]) -> None:
    match kind:
        case inspect.EnumType():
            _one_of(value, [member.value for member in kind.cls], path, extra)
        case inspect.LiteralType():
            _one_of(value, list(kind.values), path, extra)
        case inspect.DateTimeType():
            _moment(value, path)
        case _ if _json_name(value) != _expected(kind):
            _wrong_type(value, _expected(kind), path)
        case inspect.StrType():
            _text(value, kind, path, extra)
        case inspect.IntType():
            _integer(value, kind, path)


def _one_of(value: Any, allowed: list[Any], path: str, extra: dict[str, Any]) -> None:
    if not isinstance(value, str):
        _wrong_type(value, "text", path)
    if value not in allowed:
        shown = "" if extra.get("sensitive") else f', not "{cut(value)}"'
        detail = f"Expected one of {', '.join(map(str, allowed[:_SHOWN_MAX]))}{shown}."
        raise ContractError(
            "field.value", detail, path, allowed=allowed[:_SHOWN_MAX], nearest=nearest(value.lower(), allowed)
        )


def _moment(value: Any, path: str) -> None:
    if not isinstance(value, str):
        _wrong_type(value, "text", path)
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        raise ContractError("date.format", DATE_EXPECTED, path) from None
    check_moment(moment, path)


def _text(value: str, kind: inspect.StrType, path: str, extra: dict[str, Any]) -> None:
    code = extra.get("code")
    length = len(value)
    if kind.max_length is not None and length > kind.max_length:
        detail = f"At most {kind.max_length} characters; got {length}. Shorten it."
        raise ContractError(code or "text.too_long", detail, path, limit=kind.max_length, actual=length)
    if kind.min_length is not None and length < kind.min_length:
        detail = f"At least {kind.min_length} characters; got {length}."
        raise ContractError(code or "text.too_short", detail, path, minimum=kind.min_length, actual=length)
    if kind.pattern is not None and not re.search(kind.pattern, value):
        form = kind.pattern.removesuffix(r"(?!\n)")
        raise ContractError(code or "text.format", f"Expected text of the form {form}", path, pattern=form)


def _integer(value: int, kind: inspect.IntType, path: str) -> None:
    least = kind.ge if kind.ge is not None else None if kind.gt is None else kind.gt + 1
    most = kind.le if kind.le is not None else None if kind.lt is None else kind.lt - 1
    if (least is not None and value < least) or (most is not None and value > most):
        detail = f"Expected a whole number from {least} to {most}."
        raise ContractError("field.range", detail, path, minimum=least, limit=most)


def _wrong_type(value: Any, expected: str, path: str) -> NoReturn:
    got = _json_name(value)
    raise ContractError("field.type", f"Expected {expected}, got {got}.", path, expected=expected, got=got)


def _json_name(value: Any) -> str:
    names = {str: "text", bool: "true or false", int: "whole number", float: "decimal number", dict: "object"}
    return "null" if value is None else names.get(type(value), "array")


def _expected(kind: inspect.Type) -> str:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    match kind:
        case inspect.IntType():
            return "whole number"
        case inspect.FloatType():
            return "decimal number"
        case inspect.BoolType():
            return "true or false"
        case inspect.ListType() | inspect.VarTupleType():
            return "array"
        case inspect.StructType() | inspect.DictType() | inspect.CustomType():
            return "object"
        case _:
            return "text"
