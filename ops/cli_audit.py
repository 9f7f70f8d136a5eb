"""The audit from the command line: reading it, and holding it against what is kept outside the database."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from ops.cli_shared import Shared, common, pass_shared

_DATABASE = "tidegate.db"
_DIGITS = 64


@click.group(invoke_without_command=True)
@click.option("--subject", help="Only about this: an intent id, a target such as tenant:acme.")
@click.option("--by", "who", help="Only what this person did.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500))
@common
@pass_shared
@click.pass_context
def audit(context: click.Context, shared: Shared, subject: str | None, who: str | None, limit: int) -> None:
    """Who did what, when and why, newest first; and whether it is still what was written.

    \b
    Examples:
      tidegate audit --subject tenant:acme
      tidegate audit verify
      tidegate audit anchor
    """
    if context.invoked_subcommand is not None:
        return
    from ops.screen import show_audit

    with shared.client() as client:
        page = client.look("audit", subject=subject, who=who, limit=limit)
        shared.say(page, lambda: show_audit(page["items"]))


@audit.command()
@click.option("--anchors", type=click.Path(path_type=Path), help="The anchor file (default: from the settings).")
@click.option("--anchor", "kept", multiple=True, metavar="SEQ:HASH", help="An anchor that was kept elsewhere.")
@common
@pass_shared
def verify(shared: Shared, anchors: Path | None, kept: tuple[str, ...]) -> None:
    """Recompute every entry and hold the chain against its anchors; beside a running daemon, or without one.

    Names the first entry that is not as it was written. Exit code 0 only when everything holds.

    \b
    Examples:
      tidegate audit verify
      tidegate audit verify --anchors /mnt/auditors/anchors.jsonl --anchor 1042:9f86d081884c7d65...
    """
    from broker.store.audit_verify import AuditUnreadable
    from broker.store.audit_verify import verify as verify_audit

    settings = shared.settings()
    path = _database(settings.directory)
    known = [_known(words) for words in kept]
    progress = _progress if sys.stderr.isatty() and not shared.as_json else _silent
    try:
        verdict = verify_audit(path, anchors or settings.anchors, known, os.cpu_count() or 1, progress)
    except AuditUnreadable as error:
        _fail(str(error))
    found = {"clean": verdict.clean, **msgspec.to_builtins(verdict)}
    shared.say(found, lambda: _show(found))
    raise SystemExit(0 if verdict.clean else 1)


@audit.command()
@click.option("--out", type=click.Path(path_type=Path), help="Append it to this file as well.")
@common
@pass_shared
def anchor(shared: Shared, out: Path | None) -> None:
    """Print what the chain has come to, for somebody to keep where nobody who can write to the store can reach it.

    \b
    Example:
      tidegate audit anchor --out /media/stick/anchors.txt
    """
    from broker.store.audit_verify import AuditUnreadable, head

    path = _database(shared.settings().directory)
    try:
        seq, hash = head(path)
        if out is not None:
            with out.open("a") as kept:
                kept.write(f"{seq}:{hash}\n")
    except (AuditUnreadable, OSError) as error:
        _fail(str(error))
    shared.say({"anchor": f"{seq}:{hash}", "seq": seq, "hash": hash}, lambda: click.echo(f"{seq}:{hash}"))


def _database(directory: Path) -> Path:
    path = directory / _DATABASE
    if not path.exists():
        _fail(f"there is no store at {path}; name the data directory with --data")
    return path


def _known(words: str) -> tuple[int, str]:
    seq, _, hash = words.strip().partition(":")
    if not seq.isdecimal() or len(hash) != _DIGITS or set(hash) - set("0123456789abcdef"):
        raise click.UsageError(f"--anchor {words}: expected SEQ:HASH as `tidegate audit anchor` prints it")
    return int(seq), hash


def _progress(done: int, of: int) -> None:
    sys.stderr.write(f"\r{done} of {of} entries" if done < of else "\r\033[K")
    sys.stderr.flush()


def _silent(done: int, of: int) -> None:
    pass


def _show(found: dict[str, Any]) -> None:
    for remark in found["remarks"]:
        click.echo(f"remark: {remark}")
    held = f"{found['entries']} entries recomputed, {found['anchors']} anchors compared"
    if found["clean"]:
        click.echo(f"clean: {held}; the head is {found['head_seq']}:{found['head_hash']}")
        return
    for number, finding in enumerate(found["findings"]):
        where = "" if finding["seq"] is None else f"entry {finding['seq']}: "
        click.echo(f"{'FIRST BAD' if number == 0 else 'also'}: {where}{finding['problem']}")
        click.echo(f"  expected {finding['expected']}\n  found    {finding['found']}")
    click.echo(f"NOT CLEAN: {held}")


def _fail(text: str) -> NoReturn:
    sys.stderr.write(f"tidegate: {text}\n")
    raise SystemExit(1)
