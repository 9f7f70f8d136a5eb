"""Query parameters are taken only if they are known, once, and say something that can be done."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from contracts.errors import ContractError, cut, nearest


def check_query(query: bytes, known: Collection[str]) -> Mapping[str, str]:
    """The parameters by name.

    Raises:
        ContractError: query.unknown, query.duplicate or query.value, with the `parameter`.
    """
    if not query:
        return {}
    found: dict[str, str] = {}
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise ContractError("query.value", "The query is not percent-encoded UTF-8, or has too many parts.") from None
    for name, value in pairs:
        if name not in known:
            listed = ", ".join(known) or "none"
            detail = f'"{cut(name)}" is not known here. Known: {listed}.'
            raise ContractError(
                "query.unknown", detail, parameter=cut(name), known=list(known), nearest=nearest(name, known)
            )
        if name in found:
            raise ContractError("query.duplicate", f'"{name}" is given twice. Send it once.', parameter=name)
        found[name] = value
    return found


def whole_number(parameters: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A parameter as a whole number.

    Raises:
        ContractError: query.value when it is none, or out of range.
    """
    text = parameters.get(name)
    if text is None:
        return default
    # the length first: int() of a million digits is slow
    if len(text) > 20 or not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        detail = f"{name}: expected a whole number from {least} to {most}."
        raise ContractError("query.value", detail, parameter=name, minimum=least, limit=most)
    return int(text)


def refuse_unknown_query(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: a handler names its parameters in its `opt` as `query`."""
    check_query(connection.scope["query_string"], handler.opt.get("query", ()))
