"""The references of the accept benchmark, served exactly like the daemon: uvicorn, uvloop, httptools, Litestar.

`python -m tests.load.references discard|each DIRECTORY` prints the URL once it listens.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import aiosqlite
import msgspec
import uvicorn
from litestar import Litestar, Request, Response, post

_DDL = "CREATE TABLE event (id TEXT PRIMARY KEY, body BLOB)"


class _Event(msgspec.Struct):
    id: str


@post("/v1/messages", status_code=202)
async def discard(request: Request) -> Response[bytes]:  # type: ignore[type-arg]
    """Read the body and forget it."""
    await request.body()
    return Response(b'{"ok":true}', status_code=202, media_type="application/json")


def commit_each(connection: aiosqlite.Connection) -> Litestar:
    """Each event is decoded and committed alone (WAL, synchronous=FULL), the way a first version is written."""
    lock = asyncio.Lock()

    @post("/v1/messages", status_code=202)
    async def accept(request: Request) -> Response[bytes]:  # type: ignore[type-arg]
        body = await request.body()
        events = (
            msgspec.json.decode(body, type=list[_Event])
            if body[:1] == b"["
            else [msgspec.json.decode(body, type=_Event)]
        )
        async with lock:
            for event in events:
                await connection.execute("INSERT OR IGNORE INTO event VALUES (?, ?)", (event.id, body))
                await connection.commit()
        return Response(b'{"ok":true}', status_code=202, media_type="application/json")

    return Litestar([accept], logging_config=None)


async def _main(kind: str, directory: Path) -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(1024)
    app = Litestar([discard], logging_config=None)
    if kind == "each":
        connection = await aiosqlite.connect(directory / "each.db")
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = FULL")
        await connection.execute(_DDL)
        app = commit_each(connection)
    config = uvicorn.Config(app, http="httptools", loop="none", lifespan="off", log_config=None, access_log=False)
    sys.stdout.write(f"http://127.0.0.1:{sock.getsockname()[1]}\n")
    sys.stdout.flush()
    await uvicorn.Server(config).serve(sockets=[sock])


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main(sys.argv[1], Path(sys.argv[2])))
