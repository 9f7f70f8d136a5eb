"""A token that lives in a file and may be replaced there at any time: read once for all calls, not by each of them."""

from __future__ import annotations

from pathlib import Path


class Credential:
    """The token of one system. Without a file there is none."""

    def __init__(self, path: Path | None) -> None:
        """Raises OSError: the file cannot be read."""
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self.token: str | None = None
        self.reads = 0
        if path is not None:
            self._read(path)

    def headers(self) -> dict[str, str]:
        """What a call carries."""
        self.refresh()
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def refresh(self) -> None:
        """Read the file again if it is another one than before; keep the token that is known if it cannot be read."""
        if self._path is None:
            return
        try:
            if self._stamp_of(self._path) != self._stamp:
                self._read(self._path)
        except OSError:  # a rotation removes and writes: the old token holds until there is a new one
            return

    def replaced(self, headers: dict[str, str]) -> bool:
        """Whether a call that went out with these headers would carry another token now."""
        return self.headers() != headers

    def _read(self, path: Path) -> None:
        stamp = self._stamp_of(path)
        token = path.read_text("utf-8").strip()
        self.reads += 1
        self._stamp = stamp
        self.token = token or self.token

    @staticmethod
    def _stamp_of(path: Path) -> tuple[int, int, int]:
        found = path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
