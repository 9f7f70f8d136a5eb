"""Who somebody is: the name of the token they hold, never what they say."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from actors.settings import Settings, SettingsRefused
from broker.crash_points import durable
from contracts.errors import ContractError
from policies.approval import UNNAMED
from policies.approval_words import read_operators

TOKEN_CHARACTERS_MIN = 16


class Keyring(msgspec.Struct, frozen=True):
    """Tokens by name. `shared` is the one of the data directory, whose holder is `operator`."""

    shared: str
    named: Mapping[str, str] = {}

    def who(self, token: str) -> str | None:
        """The name of a token, if it is one. Every token is compared, each in constant time."""
        given = token.encode()
        found = UNNAMED if secrets.compare_digest(given, self.shared.encode()) else None
        for name, known in self.named.items():
            if secrets.compare_digest(given, known.encode()):
                found = name
        return found

    def signed(self, who: str, claimed: str) -> str:
        """Under which name an order is kept: the token's. Only where nobody has their own is it what was said."""
        return claimed if who == UNNAMED and not self.named else who

    def requester(self, who: str | None, claimed: str) -> None:
        """Check who asks for money to move, where people have tokens: they ask in their own name.

        Raises:
            ContractError: auth.missing, approval.requester.
        """
        if not self.named:
            return
        if who is None:
            detail = "People have tokens here, so what people ask for needs one: send Authorization: Bearer."
            raise ContractError("auth.missing", detail)
        if claimed != who:
            detail = f"The token is {who}'s; requested_by has to say so."
            raise ContractError("approval.requester", detail, "/data/requested_by")


def keyring(settings: Settings) -> Keyring:
    """All tokens: the one of the data directory, and those of named operators, read from their files.

    Raises:
        SettingsRefused: a file cannot be read, or holds a token that is too short or somebody else's.
    """
    found: dict[str, str] = {}
    shared = operator_token(settings.directory)
    for name, operator in read_operators(settings.operators.named).items():
        try:
            token = Path(operator.path).read_text().strip()
        except OSError as error:
            raise SettingsRefused(f"operators.named: the token of {name} cannot be read: {error.strerror}") from None
        if len(token) < TOKEN_CHARACTERS_MIN:
            raise SettingsRefused(f"operators.named: the token of {name} has less than {TOKEN_CHARACTERS_MIN} letters")
        if token == shared or token in found.values():
            raise SettingsRefused(f"operators.named: the token of {name} is somebody else's as well")
        found[name] = token
    return Keyring(shared, found)


@durable("file", "operator_token")
def operator_token(directory: Path) -> str:
    """The local operator token, made on first start, readable by its owner only."""
    path = directory / "operator.token"
    if not path.exists():
        draft = path.with_suffix(".draft")  # a kill in between must not leave an empty token
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(handle, f"{secrets.token_urlsafe(32)}\n".encode())
        os.close(handle)
        os.replace(draft, path)
    return path.read_text().strip()
