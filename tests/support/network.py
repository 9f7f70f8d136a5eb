"""A network of our own for a process under test: a namespace, and a link to it that can be cut, halved and slowed.

Needs root and `ip` (iproute2). Nothing of the machine's own network is touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_NOBODY = "02:00:00:00:00:99"
_count = 0


def missing() -> str | None:
    """Why there can be no namespace here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    return None if shutil.which("ip") else "network namespaces need `ip`: apt-get install iproute2"


def _ip(*words: str, fails: bool = True) -> None:
    subprocess.run(["ip", *words], check=fails, capture_output=True)


class Wire:
    """The link. `here` is our address at this end, `there` the one inside."""

    def __init__(self) -> None:
        global _count
        _count += 1
        mark = f"{os.getpid() % 100_000}x{_count}"
        self.name, self._here, self._there = f"tidegate-{mark}", f"tgh{mark}", f"tgt{mark}"
        net = f"10.213.{(os.getpid() + _count) % 250}"
        self.here, self.there = f"{net}.1", f"{net}.2"

    @property
    def enter(self) -> list[str]:
        """Begins the command line of what is to run inside."""
        return ["ip", "netns", "exec", self.name]

    @contextmanager
    def laid(self) -> Iterator[Wire]:
        """Make it for the length of the block."""
        try:
            _ip("netns", "add", self.name)
            _ip("link", "add", self._here, "type", "veth", "peer", "name", self._there, "netns", self.name)
            _ip("addr", "add", f"{self.here}/30", "dev", self._here)
            _ip("-n", self.name, "addr", "add", f"{self.there}/30", "dev", self._there)
            _ip("-n", self.name, "link", "set", "lo", "up")
            _ip("-n", self.name, "link", "set", self._there, "up")
            self.up()
            yield self
        finally:
            _ip("link", "del", self._here, fails=False)
            _ip("netns", "del", self.name, fails=False)

    def down(self) -> None:
        """Cut it; nobody is told."""
        _ip("link", "set", self._here, "down")

    def up(self) -> None:
        """Mend everything."""
        _ip("link", "set", self._here, "up")
        _ip("neigh", "flush", "dev", self._here, "nud", "permanent")
        _ip("-n", self.name, "neigh", "flush", "dev", self._there, "nud", "permanent")

    def nothing_out(self) -> None:
        """What is sent inside goes to nobody; what is sent to it arrives."""
        _ip("-n", self.name, "neigh", "replace", self.here, "lladdr", _NOBODY, "dev", self._there, "nud", "permanent")

    def nothing_in(self) -> None:
        """The other way round."""
        _ip("neigh", "replace", self.there, "lladdr", _NOBODY, "dev", self._here, "nud", "permanent")

    def narrow(self, rate: str) -> None:
        """So many bits a second each way, as `tc` writes them."""
        shape = ["root", "tbf", "rate", rate, "burst", "4kb", "latency", "400ms"]
        subprocess.run(["tc", "qdisc", "add", "dev", self._here, *shape], check=True, capture_output=True)
        inside = ["tc", "-n", self.name, "qdisc", "add", "dev", self._there, *shape]
        subprocess.run(inside, check=True, capture_output=True)
