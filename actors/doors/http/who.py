"""Who asks: the name of the token that a request came with."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from actors.credentials import Keyring
from actors.doors.http.body import Headers
from contracts.envelope import Envelope
from contracts.errors import ContractError

ASKED_BY_PEOPLE = "process.request"
POSTED_DIRECTLY = "erp.adjustment.request"
T = TypeVar("T")


class _Requested(msgspec.Struct):
    requested_by: str = ""


class AuthRefused(Exception):
    """No credential, or a wrong one. Which it was is told; in what it was wrong is not."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def require_token(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard of handlers with `operator` in their `opt`: `Authorization: Bearer <token>`; whose it is, is noted.

    Raises:
        AuthRefused: there is none, or it is nobody's.
    """
    if not handler.opt.get("operator"):
        return
    given = connection.headers.getall("authorization", [])
    if not given:
        raise AuthRefused("auth.missing")
    who = _name(connection.app.state.keyring, given[0])
    if len(given) > 1 or who is None:
        raise AuthRefused("auth.invalid")
    connection.scope["state"]["who"] = who


def who_of(request: Request[Any, Any, Any]) -> str:
    """The name of the token, once the guard has seen it."""
    return str(request.scope["state"]["who"])


def signed(request: Request[Any, Any, Any], command: T) -> T:
    """The command in the name of its token, whatever it says itself."""
    keyring: Keyring = request.app.state.keyring
    return msgspec.structs.replace(command, who=keyring.signed(who_of(request), command.who))  # type: ignore[type-var, attr-defined]


def check_requester(keyring: Keyring, headers: Headers, envelope: Envelope) -> None:
    """What people ask for is asked in the name of their token, where they have tokens.

    Raises:
        ContractError: auth.missing, auth.invalid, approval.requester.
    """
    if envelope.type != ASKED_BY_PEOPLE or not keyring.named:
        return
    who = _holder(keyring, headers)
    try:
        claimed = msgspec.json.decode(envelope.data, type=_Requested).requested_by
    except (msgspec.DecodeError, msgspec.ValidationError):
        return  # what is wrong with it is told by whoever reads it
    keyring.requester(who, claimed)


def check_poster(keyring: Keyring, posters: Collection[str] | None, headers: Headers, envelope: Envelope) -> None:
    """What is posted to the ERP without a policy or an approval is sent by these people only; None: by anybody.

    Raises:
        ContractError: auth.missing, auth.invalid, approval.direct.
    """
    if envelope.type != POSTED_DIRECTLY or posters is None:
        return
    who = _holder(keyring, headers)
    if who is None:
        detail = "Adjustments need a token of finance here: send Authorization: Bearer. Or send the case it is about."
        raise ContractError("auth.missing", detail)
    if who not in posters:
        detail = f"{who} has no role of finance, as adjustments need here. Send the case, or a process.request."
        raise ContractError("approval.direct", detail)


def _holder(keyring: Keyring, headers: Headers) -> str | None:
    """Whose token a message came with; None: without one. Raises ContractError auth.invalid."""
    given = headers.get(b"authorization")
    who = None if given is None else _name(keyring, given.decode("latin-1"))
    if given is not None and who is None:
        raise ContractError("auth.invalid", "The token is nobody's.")
    return who


def _name(keyring: Keyring, header: str) -> str | None:
    scheme, _, token = header.partition(" ")
    return keyring.who(token.strip()) if scheme.lower() == "bearer" else None
