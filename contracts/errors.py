"""The one error of this room, and the one table of its codes.

Codes are part of the product: doors answer them as problem details (RFC 9457) and the dead-letter store
files messages under them. A code never changes its meaning.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

ECHO_CHARACTERS_MAX: Final = 40

# code -> (HTTP status, title). A title is the same for every occurrence; `detail` tells the particular case.
CODES: Final[dict[str, tuple[int, str]]] = {
    # bytes and JSON
    "body.empty": (400, "The request has no body"),
    "body.too_large": (413, "The body is too large"),
    "body.encoding": (400, "The body is not what its content coding says"),
    "json.encoding": (400, "The body is not UTF-8 without BOM"),
    "json.syntax": (400, "The body is not one JSON document"),
    "json.number": (400, "A number is not finite"),
    "json.number_too_long": (400, "A number has too many digits"),
    "json.too_deep": (400, "The document is nested too deeply"),
    "json.too_many_values": (400, "The document holds too many values"),
    "json.duplicate_key": (400, "An object names the same key twice"),
    "json.surrogate": (400, "A string holds half of a surrogate pair"),
    "media.type": (415, "The media type is not one we accept"),
    "media.encoding": (415, "The content coding is not one we accept"),
    "batch.count": (422, "The batch holds too few or too many events"),
    # text and identifiers
    "text.control_character": (422, "A text holds a control character"),
    "text.too_long": (422, "A text is too long"),
    "text.too_short": (422, "A text is too short"),
    "text.format": (422, "A text does not have the expected form"),
    "id.format": (422, "An identifier does not have the expected form"),
    "date.format": (422, "A date is not a real moment with an offset"),
    # contract
    "contract.unknown_type": (422, "The message type is not known"),
    "contract.unknown_version": (422, "The version of the message type is not known"),
    "contract.not_accepted": (422, "Nothing here takes this message type"),
    "contract.closed": (422, "The version of the message type is closed"),
    "envelope.attribute": (422, "A CloudEvents attribute is not acceptable"),
    "field.missing": (422, "A required field is missing"),
    "field.unknown": (422, "A field is not known"),
    "field.read_only": (422, "A field is set by Tidegate only"),
    "field.type": (422, "A field has the wrong type"),
    "field.value": (422, "A field has a value outside the allowed ones"),
    "field.range": (422, "A number is outside its range"),
    "lines.count": (422, "A list has too few or too many entries"),
    "lines.sum": (422, "The lines do not sum to the total"),
    # money
    "money.format": (422, "An amount is not written as plain decimal text"),
    "money.scale": (422, "An amount has too many decimals for its currency"),
    "money.range": (422, "An amount is outside its range"),
    "currency.missing": (422, "An amount has no currency"),
    "currency.format": (422, "A currency is not three capital letters"),
    "currency.unknown": (422, "A currency is not an active ISO 4217 currency"),
    "currency.retired": (422, "A currency has been retired"),
    "currency.mismatch": (422, "Two amounts are of different currencies"),
    # idempotency
    "idempotency.missing": (400, "The idempotency key is missing"),
    "idempotency.format": (400, "The idempotency key is not acceptable"),
    "idempotency.mismatch": (422, "The idempotency key was used with another body"),
    "idempotency.in_progress": (409, "The request with this key is still in progress"),
    "duplicate.business_key": (409, "The business key was already processed"),
    # doors
    "door.busy": (503, "Too much work is waiting"),
    "door.lane_busy": (429, "Too much work is waiting for this lane"),
    "door.draining": (503, "The daemon is draining"),
    "door.crowded": (503, "Too many connections are open"),
    "store.unavailable": (503, "The store cannot write"),
    "message.not_found": (404, "There is no such message"),
    "query.value": (422, "A query parameter is not acceptable"),
    "query.unknown": (422, "A query parameter is not known"),
    "query.duplicate": (422, "A query parameter is given more than once"),
    "path.not_found": (404, "There is nothing at this path"),
    "path.too_long": (414, "The path and query are too long"),
    "method.not_allowed": (405, "The method is not allowed here"),
    "auth.missing": (401, "A credential is needed"),
    "auth.invalid": (401, "The credential is not accepted"),
    "headers.too_large": (431, "The request's headers are too large"),
    "request.time_out": (408, "The request did not arrive in time"),
    "request.malformed": (400, "The request is malformed"),
    "operation.target": (422, "The target of the command does not exist"),
    "operation.reason": (422, "A command needs a reason"),
    "operation.who": (422, "A command needs to say who gives it"),
    "operation.until": (422, "The end of the order is not in the future"),
    "operation.nothing": (409, "There is nothing to do"),
    "operation.value": (422, "The value cannot be set"),
    "operation.setting": (422, "There is no such setting"),
    "operation.lane": (422, "There is no such lane"),
    "operation.look_first": (409, "The command has to be shown before it is carried out"),
    "operation.token": (409, "The token carries nothing out"),
    "operation.moved": (409, "The world has changed since"),
    "operation.money": (409, "Money is never dropped"),
    "operation.too_many": (422, "The command concerns too much at once"),
    "operation.no_undo": (409, "The operation cannot be undone"),
    # approvals
    "approval.not_found": (404, "Nothing waits for approval under this key"),
    "approval.closed": (409, "It does not wait for approval any more"),
    "approval.person": (403, "This person is not among those who may approve"),
    "approval.changed": (409, "What is to be approved is not what was seen"),
    "approval.own": (403, "Nobody approves what they asked for"),
    "approval.replayer": (403, "Nobody approves what they send again"),
    "approval.twice": (409, "This person has voted already"),
    "approval.delegation": (403, "There is no such delegation in force"),
    "approval.requester": (403, "The requester is not who the token says"),
    "approval.direct": (403, "This person may not post to the ERP directly"),
    "approval.role": (403, "The role is not high enough"),
    "replay.nothing": (409, "Nothing of it can be sent again"),
    "replay.edit": (409, "It cannot be changed any more"),
    "replay.under_way": (409, "Something of it goes on by itself"),
    "replay.unknown": (409, "Whether it was done is not known"),
    # incidents
    "incident.not_found": (404, "No such incident is known"),
    "incident.cap": (422, "The cap is not acceptable"),
    "incident.held": (409, "The incident is held"),
    "internal": (500, "Tidegate failed"),
    "tenant.mismatch": (422, "The tenant is not the one of the credential"),
}


class ContractError(ValueError):
    """Input that breaks a contract. The sender must act; the same input will never pass on a retry.

    code: a key of `CODES`. detail: what was wrong, what was expected, what to do; holds no sensitive value.
    path: JSON pointer (RFC 6901) to the place, "" for the whole. status: HTTP status. extra: facts for
    programs, such as `limit`, `actual`, `allowed`, `nearest`, `position` (bytes).
    """

    def __init__(self, code: str, detail: str, path: str = "", **extra: Any) -> None:
        super().__init__(code, detail, path)
        self.code = code
        self.detail = detail
        self.path = path
        self.status, self.title = CODES[code]
        self.extra: dict[str, Any] = extra

    def __str__(self) -> str:
        return f"{self.code} at {self.path or 'the whole document'}: {self.detail}"

    def at(self, prefix: str) -> "ContractError":
        """The same error with `prefix` (a JSON pointer, e.g. "/3" or "/data") put before its path."""
        return ContractError(self.code, self.detail, prefix + self.path, **self.extra)


def pointer(*steps: str | int) -> str:
    """A JSON pointer over `steps`, escaped as RFC 6901 says; "" for no steps. Long keys are cut."""
    return "".join("/" + cut(str(step).replace("~", "~0").replace("/", "~1")) for step in steps)


def cut(text: str) -> str:
    """`text`, cut to 40 characters and with control characters escaped, so that errors echo little."""
    shown = text if len(text) <= ECHO_CHARACTERS_MAX else text[: ECHO_CHARACTERS_MAX - 1] + "…"
    return shown if shown.isprintable() else ascii(shown)[1:-1][:ECHO_CHARACTERS_MAX]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, or None. Looks at 64 characters at most."""
    matches = get_close_matches(word[:64], list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None
