"""What a system's refusal stands for: its own words read by one table a system (`failure_tables.py`).

The status alone is not enough. Errors come under 200; a 400 may be a limit; a page of HTML may come from a proxy that
has never heard of the system. So a refusal counts as the system's own word only if it has the shape of its errors
(`Said.own`): a foreign 404 says that we are at the wrong address, and nothing about the thing that was asked for.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from policies.recoverability import FailureClass

F = FailureClass
TEXT_MAX = 4096
"""So much of a body is looked at for words."""
ADDRESS = "config.address"
"""Our code for an answer that does not come from the system."""

BY_STATUS: Mapping[int, FailureClass] = {
    400: F.DATA_QUALITY,
    401: F.AUTH,
    403: F.AUTH,
    404: F.DATA_QUALITY,
    405: F.AUTH,
    409: F.DATA_QUALITY,
    410: F.DATA_QUALITY,
    411: F.BUG,
    413: F.DATA_QUALITY,
    414: F.BUG,
    415: F.BUG,
    421: F.AUTH,
    422: F.DATA_QUALITY,
    429: F.THROTTLED,
    431: F.BUG,
    503: F.TRANSIENT,
}
"""Statuses that promise that nothing was done. Any other failure may have been done: its outcome is not known.

503 is among them by RFC 9110 section 15.6.4 (the server is not handling the request); 500, 502 and 504 are not.
405 and 421 say that the address or the method is wrong, so nothing of it is: that is ours to mend, for every call.
"""
_OF_ANYBODY = frozenset({401, 407, 429, 503})
"""Statuses that mean the same whoever says them: a proxy in front may as well ask for a credential, or for a rest."""
_MOVED = frozenset({301, 307, 308})
"""Redirects that were surely not followed up by doing it here (RFC 9110 section 15.4)."""


class Row(Struct, frozen=True, kw_only=True):
    """Answers that stand for a class: any of `statuses` with any of `codes` or any of `words` (none named: any).

    A code may begin or end with `*`. Words are parts of the text, in lower case. `means` None: nobody knows whether
    it was done. Without `statuses` a row holds from 300 to 499, and under a 2xx that says no (`Manner.no`): after a
    server error nothing is sure.
    """

    means: FailureClass | None
    statuses: tuple[int, ...] = ()
    codes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


class Manner(Struct, frozen=True, kw_only=True):
    """How one system says no. `codes` and `texts`: where these stand in its JSON, as in `errors.0.code`.

    `shape`: parts of a body that is no JSON and still its own. `no`: a path and a value which, under a 2xx, mean that
    it was not done. The first row that fits decides, then the status.
    """

    name: str
    codes: tuple[str, ...] = ("code",)
    texts: tuple[str, ...] = ("detail",)
    shape: tuple[str, ...] = ()
    no: tuple[tuple[str, Any], ...] = ()
    rows: tuple[Row, ...] = ()


class Said(Struct, frozen=True):
    """What a body says. `own`: it has the shape of the system's errors; `no`: it says so under whatever status."""

    code: str | None = None
    text: str = ""
    own: bool = False
    no: bool = False
    words: str = ""
    """The beginning of the body in lower case, to look for words."""


class Verdict(Struct, frozen=True):
    """`failure` None: it may have been done or not. `code` is the system's, else ours."""

    failure: FailureClass | None
    code: str
    foreign: bool = False
    """It is not the system that answered."""


def hear(manner: Manner, body: bytes) -> Said:
    """What a body says in the manner of a system; never raises for what it may send."""
    words = body[:TEXT_MAX].decode("utf-8", "replace").lower()
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Said(words=words, own=any(part in words for part in manner.shape))
    codes = [found for path in manner.codes if (found := _text(_at(document, path))) is not None]
    texts = [found for path in manner.texts if isinstance(found := _at(document, path), str)]
    no = any(_at(document, path) == value for path, value in manner.no)
    return Said(codes[0] if codes else None, texts[0] if texts else "", bool(codes), no, words)


def judge(manner: Manner, status: int, said: Said, reads: bool = False) -> Verdict:
    """What an answer stands for that is no success. `reads`: it was only asked for something, so nothing was done."""
    fallback = said.code or f"http.{status}"
    row = next((row for row in manner.rows if _fits(row, status, said)), None)
    if row is not None:
        return Verdict(row.means, fallback)
    if not said.own and (status in _MOVED or (reads and 300 <= status < 400) or status == 407):
        return Verdict(F.AUTH, ADDRESS, foreign=True)
    if status < 300:
        return Verdict(None, fallback)
    if not said.own and status in BY_STATUS and status not in _OF_ANYBODY:
        return Verdict(F.AUTH, ADDRESS, foreign=True)
    return Verdict(BY_STATUS.get(status), fallback)


def _fits(row: Row, status: int, said: Said) -> bool:
    held = status in row.statuses if row.statuses else said.no or 300 <= status < 500
    if not held or (status >= 500 and not row.statuses):
        return False
    if not row.codes and not row.words:
        return True
    code = said.code or ""
    return any(_like(code, pattern) for pattern in row.codes) or any(word in said.words for word in row.words)


def _like(code: str, pattern: str) -> bool:
    if pattern.startswith("*"):
        return code.endswith(pattern[1:])
    return code.startswith(pattern[:-1]) if pattern.endswith("*") else code == pattern


def _at(document: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(document, list) and part.isdigit():
            document = document[int(part)] if int(part) < len(document) else None
        else:
            document = document.get(part) if isinstance(document, dict) else None
    return document


def _text(value: Any) -> str | None:
    """A code as text: some systems give numbers."""
    if isinstance(value, str):
        return value[:100] or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
