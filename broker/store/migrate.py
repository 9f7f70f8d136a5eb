"""Bringing a store to the schema of this release with Alembic; a store that is there already starts without it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

HEAD = "0014"
_SCRIPTS = Path(__file__).parent / "migrations"


class StoreRefused(Exception):
    """The store cannot be used as it is; the text says what was found and what to do. Nothing was changed."""


class StoreInUse(StoreRefused):
    """Another process has the store; it may be free later."""


def migrate(path: Path) -> None:
    """Create or upgrade the SQLite file at `path` (blocking; run it before the loop serves anybody).

    A new store is made beside its place and moved there whole. A kill in the middle leaves the last finished step
    of the old one, or no store yet; the next start goes on from there.

    Raises:
        StoreRefused: the file is damaged, not ours, or of a newer release.
    """
    found = _revision(path)
    if found == HEAD:
        return
    _check_known(path, found)
    if path.exists():
        _upgrade(path)
        return
    unfinished = path.with_name(path.name + ".new")
    for leftover in path.parent.glob(unfinished.name + "*"):
        leftover.unlink()
    _upgrade(unfinished)
    os.replace(unfinished, path)
    _flush(path.parent)


def _upgrade(path: Path) -> None:
    from alembic import command  # imported here: only a changed schema needs it, and it costs start-up time
    from alembic.config import Config
    from sqlalchemy import create_engine, event

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "begin")
    def _(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver would commit each CREATE TABLE by itself

    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _flush(directory: Path) -> None:
    """Make a rename within the directory survive power loss."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _revision(path: Path) -> str | None:
    if not path.exists():
        return None
    if path.stat().st_size == 0:
        raise StoreRefused(
            f"{path} exists but is empty. A store never becomes empty by itself: restore it from a backup, "
            "or move it away if this is meant to be a new installation."
        )
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            problems = connection.execute("PRAGMA quick_check(1)").fetchall()
            if problems != [("ok",)]:
                raise StoreRefused(
                    f"{path} is damaged ({problems[0][0]}). Nothing was changed. Restore the last backup beside it, "
                    "then start again; calls that the backup does not know are looked up at the ERP first."
                )
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "alembic_version" not in names:
                if names:
                    raise StoreRefused(f"{path} is a database of something else; give Tidegate a file of its own.")
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return str(row[0]) if row else None
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise StoreRefused(
            f"{path} cannot be read as a database ({error}). Nothing was changed; check its owner, its mode "
            "and that the disk has room, or restore the last backup."
        ) from error


def _check_known(path: Path, found: str | None) -> None:
    known = {script.name.split("_")[0] for script in (_SCRIPTS / "versions").glob("[0-9]*.py")}
    if found is not None and found not in known:
        raise StoreRefused(
            f"{path} was written by a newer release (schema {found}; this one knows up to {HEAD}). "
            "Run that release again, or restore the backup made before the upgrade."
        )
