"""From message type and version to its contract, and from raw data to its struct."""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any, Final

import msgspec
from msgspec import inspect

from contracts.codec import dec_hook
from contracts.contract import SCHEMA_PREFIX, Contract
from contracts.envelope import Envelope
from contracts.errors import ContractError, cut, nearest
from contracts.explain import check_positive, explain
from contracts.money import Money
from contracts.text import check_moment

_Check = tuple[str, Callable[[Any, str], None]]


class _Entry:
    """A contract with what decoding needs: the decoder, and the checks that msgspec cannot make."""

    __slots__ = ("checks", "contract", "decode")

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.decode: Final[Callable[[bytes | msgspec.Raw], Any]] = msgspec.json.Decoder(
            contract.struct, dec_hook=dec_hook
        ).decode
        self.checks = tuple(_checks(contract.struct))


class Registry:
    """All contracts of one house, looked up by type and version. Immutable after construction."""

    def __init__(self, contracts: Iterable[Contract]) -> None:
        """Raises ValueError when a version is registered twice, or an older one lacks its upcaster."""
        self._versions: Final[dict[str, dict[int, _Entry]]] = {}
        self._by_schema: Final[dict[tuple[str, str], _Entry]] = {}
        for contract in sorted(contracts, key=lambda one: (one.type, one.version)):
            versions = self._versions.setdefault(contract.type, {})
            if contract.version in versions:
                raise ValueError(f"{contract.dataschema} is registered twice")
            entry = _Entry(contract)
            versions[contract.version] = self._by_schema[contract.type, contract.dataschema] = entry
        for versions in self._versions.values():
            for entry in list(versions.values())[:-1]:
                if entry.contract.upcast is None:
                    raise ValueError(f"{entry.contract.dataschema} has a newer version but no upcaster")

    def __iter__(self) -> Iterator[Contract]:
        return (entry.contract for versions in self._versions.values() for entry in versions.values())

    def types(self) -> list[str]:
        """All known message types, sorted."""
        return list(self._versions)

    def newest(self, type: str) -> Contract:
        """The newest version of a type. Raises ContractError contract.unknown_type."""
        return list(self._of_type(type).values())[-1].contract

    def resolve(self, type: str, dataschema: str | None = None, on: date | None = None) -> Contract:
        """The contract of a type and schema; without a schema the first version still open on that day.

        Raises ContractError contract.unknown_type, .unknown_version or .closed, with the known ones listed.
        """
        return self._entry(type, dataschema, on).contract

    def decode_data(self, env: Envelope, on: date | None = None) -> Any:
        """The data of a message as a struct of the newest version of its type.

        Raises ContractError as `resolve`, and for the data itself with paths under "/data".
        """
        entry = self._entry(env.type, env.dataschema, on)
        try:
            data = entry.decode(env.data)
        except Exception:
            explain(msgspec.json.decode(env.data), entry.contract.struct, "/data")
        for name, check in entry.checks:
            value = getattr(data, name)
            if value is not None:
                check(value, "/data/" + name)
        return self._upcast(entry.contract, data)

    def _upcast(self, contract: Contract, data: Any) -> Any:
        for entry in self._versions[contract.type].values():
            if entry.contract.version >= contract.version and entry.contract.upcast is not None:
                data = entry.contract.upcast(data)
        return data

    def _entry(self, type: str, dataschema: str | None, on: date | None) -> _Entry:
        if dataschema is None:
            return self._first_open(type, on)
        entry = self._by_schema.get((type, dataschema))
        if entry is None:
            raise self._unknown_version(type, dataschema)
        if not entry.contract.is_open(on):
            raise self._closed(type, entry.contract)
        return entry

    def _of_type(self, type: str) -> dict[int, _Entry]:
        versions = self._versions.get(type)
        if versions is None:
            guess = nearest(type, self._versions)
            hint = f'Did you mean "{guess}"?' if guess else "See the list of known types."
            detail = f'"{cut(type)}" is not a known message type. {hint}'
            raise ContractError("contract.unknown_type", detail, "/type", known=self.types(), nearest=guess)
        return versions

    def _first_open(self, type: str, on: date | None) -> _Entry:
        versions = self._of_type(type)
        for entry in versions.values():
            if entry.contract.is_open(on):
                return entry
        raise self._closed(type, list(versions.values())[-1].contract)

    def _unknown_version(self, type: str, dataschema: str) -> ContractError:
        known = [entry.contract.dataschema for entry in self._of_type(type).values()]
        detail = f"Expected one of {', '.join(known)} ({SCHEMA_PREFIX}<type>:<version>)."
        guess = nearest(dataschema, known)
        return ContractError("contract.unknown_version", detail, "/dataschema", known=known, nearest=guess)

    def _closed(self, type: str, contract: Contract) -> ContractError:
        closes = contract.closes.isoformat() if contract.closes else "today"
        known = [entry.contract.dataschema for entry in self._versions[type].values()]
        detail = f"{contract.dataschema} closed on {closes}. Send a newer version."
        return ContractError("contract.closed", detail, "/dataschema", known=known, closed=closes)


def _checks(struct: type[msgspec.Struct]) -> Iterator[_Check]:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        for kind, extra in _alternatives(field.type):
            if isinstance(kind, inspect.DateTimeType):
                yield field.name, check_moment
            elif isinstance(kind, inspect.CustomType) and kind.cls is Money and extra.get("positive"):
                yield field.name, check_positive


def _alternatives(kind: inspect.Type) -> Iterator[tuple[inspect.Type, dict[str, Any]]]:
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _alternatives(one)
    elif isinstance(kind, inspect.Metadata):
        yield kind.type, kind.extra or {}
    else:
        yield kind, {}
