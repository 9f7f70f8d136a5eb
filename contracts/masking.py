"""Views of data without what is sensitive, decided by the tags of the contract's fields.

What the contract does not name is masked too: a field that nobody tagged may hold anything.
"""

from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from contracts.codec import to_builtins
from contracts.contract import Contract
from contracts.money import Money

MASK: Final = "***"


def mask(value: Any, contract: Contract | type[msgspec.Struct]) -> Any:
    """`value` (a struct, or builtins as decoded) as builtins in which sensitive values read "***"."""
    struct = contract.struct if isinstance(contract, Contract) else contract
    return _mask(to_builtins(value), _info(struct))


@lru_cache(maxsize=256)
def _info(struct: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(struct)


def _mask(value: Any, kind: inspect.Type) -> Any:
    if value is None:
        return None
    match kind:
        case inspect.Metadata():
            return MASK if (kind.extra or {}).get("sensitive") else _mask(value, kind.type)
        case inspect.UnionType():
            return _mask_union(value, kind)
        case inspect.StructType() if isinstance(value, dict):
            known = {field.encode_name: field.type for field in kind.fields}
            return {name: _mask(item, known[name]) if name in known else MASK for name, item in value.items()}
        case inspect.DictType() if isinstance(value, dict):
            return {name: _mask(item, kind.value_type) for name, item in value.items()}
        case inspect.ListType() if isinstance(value, list):
            return [_mask(item, kind.item_type) for item in value]
        case inspect.CustomType() if kind.cls is Money and isinstance(value, dict):
            return {name: item if name in ("amount", "currency") else MASK for name, item in value.items()}
        case _:
            return MASK if isinstance(value, dict | list) else value


def _mask_union(value: Any, kind: inspect.UnionType) -> Any:
    """The strictest reading: if any alternative masks the whole value, it is masked."""
    views = [_mask(value, one) for one in kind.types if not isinstance(one, inspect.NoneType)]
    return MASK if MASK in views else views[0]
