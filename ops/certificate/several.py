"""Several logs at once: one certificate for each system, chained, and one verdict over all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ops.certificate.accepted import AcceptedList, AcceptedRow, Spell, read_accepted
from ops.certificate.certify import Held, state
from ops.certificate.erplog import ErpLog, read_log
from ops.certificate.model import Certificate, WrongUse

CERTIFICATES_FORMAT = "tidegate-certificates/1"


class Certificates(Struct, frozen=True):
    """One for each log, in the order in which they were given; each holds the hash of the one before it."""

    format: str
    verdict: Literal["PASS", "FAIL"]
    certificates: list[Certificate]
    sha256: str


def certify_all(
    log_paths: Sequence[Path], accepted_paths: Sequence[Path], held: Held, head_path: Path | None = None
) -> Certificates:
    """Certify each log with its accepted list, or all of them with the one list of all.

    In one list for all, a message belongs to the log that its `system` names (the header's system, or its profile),
    else to the log that knows its key; what no log knows is examined with the first. `head_path`: a head of the only
    log that was kept elsewhere.

    Raises what `certify` raises; WrongUse also for lists that are neither one, none nor one for each log.
    """
    if head_path is not None and (len(log_paths) > 1 or not head_path.exists()):
        raise WrongUse(f"head {head_path}: expected the file of a head, and one log that it belongs to")
    logs = [read_log(path, head_path) for path in log_paths]
    lists = [read_accepted(path) for path in accepted_paths]
    if len(lists) not in (0, 1, len(logs)):
        raise WrongUse(f"{len(lists)} accepted lists for {len(logs)} logs; give one for each log, or one for all")
    own: Sequence[AcceptedList | None]
    own = _divided(lists[0], logs) if len(lists) == 1 and len(logs) > 1 else lists or [None] * len(logs)
    made: list[Certificate] = []
    for log, accepted in zip(logs, own, strict=True):
        made.append(state(log, accepted, held, made[-1].sha256 if made else ""))
    verdict: Literal["PASS", "FAIL"] = "PASS" if all(one.verdict == "PASS" for one in made) else "FAIL"
    return Certificates(CERTIFICATES_FORMAT, verdict, made, made[-1].sha256)


def chain_holds(certificates: Certificates) -> bool:
    """Whether each certificate names the one before it. Whether each is sealed: `seal_holds`."""
    hashes = ["", *(one.sha256 for one in certificates.certificates)]
    return hashes[-1] == certificates.sha256 and all(
        one.previous == before for one, before in zip(certificates.certificates, hashes, strict=False)
    )


def _divided(accepted: AcceptedList, logs: Sequence[ErpLog]) -> list[AcceptedList]:
    names = {log.system: place for place, log in reversed(list(enumerate(logs)))}
    known = {subject: place for place, log in reversed(list(enumerate(logs))) for subject in log.subjects if subject}
    rows: list[list[AcceptedRow]] = [[] for _ in logs]
    for row in accepted.rows:
        place = names.get(row.system) if row.system else None
        if place is None:
            place = known.get(row.key, known.get(row.reference or "", 0))
        rows[place].append(row)
    spells: list[Spell] = accepted.spells
    return [msgspec.structs.replace(accepted, rows=own, spells=spells) for own in rows]
