"""Where a decision comes from: who in the world outside led to it, under which rules, from which inputs.

It goes with every command that a decision leads to, as two attributes of the envelope that only we may set, and into
every entry of the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from broker.effects import Effect, Milestone
from broker.store.rows import AuditRow
from contracts.envelope import EXTENSION_BYTES_MAX, Envelope, Extension
from contracts.errors import ContractError
from contracts.fingerprint import fingerprint

CAUSE, POLICY = "humancause", "policyversion"
_VERSION = "policy_version"
_DECIDED = ("credit.", "approval.", "process.")
_APART = (_VERSION, "who", "requested_by")


class Why(msgspec.Struct, frozen=True):
    """`cause` in words; `policy` a version, empty when no policy had a say."""

    cause: str = ""
    policy: str = ""

    def attributes(self) -> dict[str, Extension]:
        """What goes with a command."""
        cause = self.cause.encode()[:EXTENSION_BYTES_MAX].decode(errors="ignore")
        return {name: text for name, text in ((CAUSE, cause), (POLICY, self.policy)) if text}


def why(envelope: Envelope, data: Any, effects: Sequence[Effect]) -> Why:
    """What the message says of itself, or was given by the decision before; and the policy that judged it just now."""
    told = envelope.extensions
    judged = (e.facts[_VERSION] for e in effects if isinstance(e, Milestone) and _VERSION in e.facts)
    return Why(str(told.get(CAUSE) or _cause(envelope, data)), next(judged, str(told.get(POLICY, ""))))


def _cause(envelope: Envelope, data: Any) -> str:
    asked = f" asked by {who}" if (who := getattr(data, "requested_by", None)) else ""
    return f"{envelope.type} {envelope.id}{asked} from {envelope.source}"


def check_foreign(envelope: Envelope) -> None:
    """Raise field.read_only for an event from outside that gives itself a cause or a policy."""
    for name in (CAUSE, POLICY):
        if name in envelope.extensions:
            raise ContractError("field.read_only", f'"{name}" is set by Tidegate only. Leave it out.', f"/{name}")


def decision(milestone: Milestone, why: Why, envelope: Envelope, key: str, actor: str, at: int) -> AuditRow | None:
    """The audit entry of a milestone at which something was decided; None for any other.

    The actor is the person who decided, if one did. Inputs are named by the message and the fingerprint of its data.
    """
    facts = milestone.facts
    if _VERSION not in facts and not milestone.name.startswith(_DECIDED):
        return None
    kept = {name: value for name, value in facts.items() if name not in _APART and not name.startswith("input.")}
    inputs = f"message {envelope.id} data {fingerprint(bytes(envelope.data), envelope.type)}"
    person = facts.get("who") or facts.get("requested_by") or actor
    return AuditRow(at, person, milestone.name, key, kept, why.cause, why.policy, inputs)
