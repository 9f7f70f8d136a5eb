"""All sandbox systems of the workflow, and the settings of a daemon between them: for demos and tests."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ops.client import Client
from ops.sandbox.limits import profile_words
from ops.sandbox.process import SandboxProcess

BESIDE = ("billing", "support", "crm", "revenue")
PEOPLE = (
    "anna=finance-manager,tom=finance-manager,clara=finance-clerk,"
    "dora=finance-director,dirk=finance-director,sam=support-lead"
)
"""Who may approve in the demo, and one who may not. Each has a token of their own."""


class Systems:
    """The ERP and the four beside it, each a process of its own with its own ledger and log under `out`.

    `limits` in words, for the ERP by profile name; those beside it get `beside_limits`.
    """

    def __init__(
        self, out: Path, profile: str, beside_limits: Iterable[str], latency_ms: str, seed: int, lost_seconds: float
    ) -> None:
        self._lost_seconds = lost_seconds
        self._beside_limits = tuple(beside_limits)
        self._profile = profile
        self._stack = ExitStack()
        self._tokens = out / "tokens"
        self.erp = SandboxProcess(out / "erp", profile, latency_ms=latency_ms, seed=seed)
        self.beside = {
            name: SandboxProcess(
                out / name, "custom", limits=self._beside_limits, latency_ms=latency_ms, seed=seed, system=name
            )
            for name in BESIDE
        }

    @property
    def all(self) -> dict[str, SandboxProcess]:
        """Every system by name."""
        return {"erp": self.erp, **self.beside}

    def set_faults(self, faults: Mapping[str, Iterable[dict[str, Any]]]) -> None:
        """Switch faults on, by system."""
        for name, wanted in faults.items():
            self.all[name].set_faults(*wanted)

    def token(self, name: str) -> Path:
        """The file of somebody's token, made when it is first asked for."""
        path = self._tokens / name
        if not path.exists():
            self._tokens.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32))
        return path

    def person(self, url: str, name: str) -> Client:
        """A client of the daemon in somebody's name."""
        return Client(url, self.token(name))

    def settings(self, **more: str) -> dict[str, str]:
        """The environment of a daemon between them."""
        found = {
            "TIDEGATE_ERP__URL": self.erp.url,
            "TIDEGATE_ERP__LATE_SECONDS": str(self._lost_seconds),
            "TIDEGATE_ERP__LIMITS": ",".join(profile_words(self._profile)) or "1000000/1s",
            "TIDEGATE_OPERATORS__NAMED": ",".join(
                f"{name} as {role} with {self.token(name).absolute()}"
                for name, role in (person.split("=") for person in PEOPLE.split(","))
            ),
        }
        for name, system in self.beside.items():
            found[f"TIDEGATE_{name.upper()}__URL"] = system.url
            found[f"TIDEGATE_{name.upper()}__LIMITS"] = ",".join(self._beside_limits)
        for name in self.all:
            found[f"TIDEGATE_{name.upper()}__TIMEOUT_SECONDS"] = "5"
            found[f"TIDEGATE_{name.upper()}__LOST_SECONDS"] = str(self._lost_seconds)
        return found | more

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for system in self.all.values():
                stack.enter_context(system)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
