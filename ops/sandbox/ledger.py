"""The ERP's ledger: documents in SQLite, written by one thread that folds waiting requests into one commit.

A request is answered only after its commit has reached the disk (WAL, synchronous=FULL), so SIGKILL at
any instant loses no answered document. Each batch is a few statements over JSON arrays, whatever its
size, because every statement of the sqlite3 module hands the interpreter lock over once.
"""

import asyncio
import sqlite3
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

import msgspec

from ops.sandbox.documents import Document

FILE_NAME = "ledger.sqlite3"
_BATCH_MAX = 1_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    number INTEGER PRIMARY KEY,
    document_id TEXT NOT NULL UNIQUE,
    idempotency_key TEXT UNIQUE,       -- NULL once the idempotency window has passed
    key_expires_ms INTEGER,            -- Unix time in milliseconds; NULL: never
    fingerprint TEXT NOT NULL,
    reference TEXT NOT NULL,
    account_id TEXT NOT NULL,
    amount TEXT NOT NULL,
    currency TEXT NOT NULL,
    source_document TEXT NOT NULL,
    status TEXT NOT NULL,
    posted_at TEXT NOT NULL,
    reason_code TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS documents_by_reference ON documents (reference);
"""
_LAST_NUMBER = "SELECT coalesce(max(CAST(substr(document_id, 5) AS INTEGER)), 0) FROM documents"
_FORGET_KEYS = """
UPDATE documents SET idempotency_key = NULL
WHERE idempotency_key IN (SELECT value ->> 1 FROM json_each(?)) AND key_expires_ms <= ?
"""
_INSERT = """
INSERT INTO documents (document_id, idempotency_key, key_expires_ms, fingerprint, reference, account_id,
                       amount, currency, source_document, status, posted_at, reason_code)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
       value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11
FROM json_each(?) WHERE true ON CONFLICT (idempotency_key) DO NOTHING
"""
_ROW = """json_array(document_id, idempotency_key, key_expires_ms, fingerprint, reference, account_id,
                     amount, currency, source_document, status, posted_at, reason_code)"""
_BY_KEY = f"""
SELECT json_group_array({_ROW}) FROM documents WHERE idempotency_key IN (SELECT value FROM json_each(?))
"""
_BY_REFERENCE = f"""
SELECT json_group_array({_ROW}) FROM documents WHERE reference IN (SELECT value FROM json_each(?))
"""

_BY_DOCUMENT = f"""
SELECT json_group_array({_ROW}) FROM documents WHERE document_id IN (SELECT value FROM json_each(?))
"""
_PAGE = f"""
SELECT json_group_array({_ROW}) FROM (
    SELECT * FROM documents WHERE (reference, document_id) > (?, ?) AND posted_at >= ?
    ORDER BY reference, document_id LIMIT ?
)
"""


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """A row of the ledger, in the order the statements use."""

    document_id: str
    key: str | None
    key_expires_ms: int | None
    fingerprint: str
    reference: str
    account_id: str
    amount: str
    currency: str
    source_document: str
    status: str
    posted_at: str
    reason_code: str

    def document(self) -> Document:
        """The row as it is answered."""
        return Document(
            self.document_id,
            self.reference,
            self.account_id,
            self.amount,
            self.currency,
            self.source_document,
            self.status,
            self.posted_at,
        )


class Posted(msgspec.Struct, frozen=True):
    """Outcome of a post: the document now on the books, or the one that the same key already made."""

    verdict: Literal["created", "replayed", "mismatch"]
    entry: Entry


By = Literal["key", "reference", "document", "page"]


class _Post(msgspec.Struct):
    entry: Entry
    now_ms: int
    future: asyncio.Future[Posted]


class _Find(msgspec.Struct):
    by: By
    text: str
    future: asyncio.Future[list[Entry]]


_Work = _Post | _Find
_ROWS = msgspec.json.Decoder(list[Entry])


class Ledger:
    """The ledger of one data directory. Used from the event loop that is running when it is made."""

    def __init__(self, path: Path, prefix: str = "ADJ") -> None:
        """Open or create the ledger and start its thread; `prefix` (three letters) begins document ids.

        Raises sqlite3.Error when the file is unusable.
        """
        self.path = path
        self._prefix = prefix
        self._loop = asyncio.get_running_loop()
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_SCHEMA)
        (self._last_number,) = self._connection.execute(_LAST_NUMBER).fetchone()
        self._thread = threading.Thread(target=self._run, name="sandbox-ledger", daemon=True)
        self._thread.start()

    def next_document_id(self) -> str:
        """A document id that no row has. Gaps mean nothing: a replay uses an id up."""
        self._last_number += 1
        return f"{self._prefix}-{self._last_number:08d}"

    async def post(self, entry: Entry, now_ms: int) -> Posted:
        """Commit a document unless its key is on the books; `now_ms` decides whether that key has expired.

        Raises sqlite3.Error when the commit failed. A cancelled wait does not undo the commit.
        """
        future: asyncio.Future[Posted] = self._loop.create_future()
        self._work.put(_Post(entry, now_ms, future))
        return await future

    async def find(self, by: By, text: str) -> list[Entry]:
        """Committed rows with this key, reference or document id, oldest first; or a page (see `listing.py`): `text` is
        a JSON array of reference and document id before it, earliest moment, and rows. Raises sqlite3.Error.
        """
        future: asyncio.Future[list[Entry]] = self._loop.create_future()
        self._work.put(_Find(by, text, future))
        return await future

    def close(self) -> None:
        """Commit what is waiting, end the thread and close the file."""
        self._work.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while (first := self._work.get()) is not None:
            batch, stop = self._gather(first)
            outcomes = self._attempt(batch)
            self._loop.call_soon_threadsafe(_deliver, batch, outcomes)
            if stop:
                return

    def _gather(self, first: _Work) -> tuple[list[_Work], bool]:
        batch = [first]
        try:
            while len(batch) < _BATCH_MAX:
                work = self._work.get_nowait()
                if work is None:
                    return batch, True
                batch.append(work)
        except Empty:
            pass
        return batch, False

    def _attempt(self, batch: list[_Work]) -> list[Any]:
        try:
            return self._commit(batch)
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            return [error] * len(batch)

    def _commit(self, batch: list[_Work]) -> list[Any]:
        posts = [work for work in batch if isinstance(work, _Post)]
        self._connection.execute("BEGIN IMMEDIATE" if posts else "BEGIN")
        posted = iter(self._insert(posts) if posts else ())
        outcomes = [next(posted) if isinstance(work, _Post) else self._select(work) for work in batch]
        self._connection.execute("COMMIT")
        return outcomes

    def _insert(self, posts: list[_Post]) -> list[Posted]:
        rows = msgspec.json.encode([post.entry for post in posts]).decode()
        if posts[0].entry.key_expires_ms is not None:
            self._connection.execute(_FORGET_KEYS, (rows, posts[0].now_ms))
        inserted = self._connection.execute(_INSERT, (rows,)).rowcount
        if inserted == len(posts):
            return [Posted("created", post.entry) for post in posts]
        keys = msgspec.json.encode([post.entry.key for post in posts]).decode()
        kept = {entry.key: entry for entry in self._rows(_BY_KEY, keys)}
        return [_judge(post.entry, kept[post.entry.key]) for post in posts]

    def _select(self, work: _Find) -> list[Entry]:
        if work.by == "page":
            return self._rows(_PAGE, *msgspec.json.decode(work.text))
        statement = {"key": _BY_KEY, "reference": _BY_REFERENCE, "document": _BY_DOCUMENT}[work.by]
        return self._rows(statement, msgspec.json.encode([work.text]).decode())

    def _rows(self, statement: str, *arguments: str | int) -> list[Entry]:
        (text,) = self._connection.execute(statement, arguments).fetchone()
        return _ROWS.decode(text)


def _judge(wanted: Entry, kept: Entry) -> Posted:
    if kept.document_id == wanted.document_id:
        return Posted("created", kept)
    return Posted("replayed" if kept.fingerprint == wanted.fingerprint else "mismatch", kept)


def _deliver(batch: list[_Work], outcomes: list[Any]) -> None:
    for work, outcome in zip(batch, outcomes, strict=True):
        if work.future.done():
            continue
        if isinstance(outcome, sqlite3.Error):
            work.future.set_exception(outcome)
        else:
            work.future.set_result(outcome)
