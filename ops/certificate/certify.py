"""The whole statement from the two files: read, scan, compare, judge, seal."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from ops.certificate.accepted import AcceptedList, read_accepted
from ops.certificate.erplog import LOOKUP_OPS, ErpLog, read_log
from ops.certificate.findings import Timeline, find, seconds_of
from ops.certificate.limits import UNLIMITED, check_limit, profile_limits, tracks_of
from ops.certificate.model import (
    CallCounts,
    Certificate,
    Check,
    Example,
    Limit,
    LimitFinding,
    Sources,
    WrongUse,
)
from ops.certificate.money import Books, check, duplicate_checks, loss_checks
from ops.certificate.order import inversions, lane_waits
from ops.certificate.seal import seal
from ops.certificate.service import Story, refusal_checks
from ops.certificate.terms import STATED, Terms

CERTIFICATE_FORMAT = "tidegate-certificate/2"


class Held(Struct, frozen=True, kw_only=True):
    """What a log is held to besides what is always held.

    limits, profile: instead of the limits in the log's headers (`limits` wins).
    allow_pending: an outcome still pending does not fail the certificate (a run in progress).
    since_ns: when the accepted list begins, on the log's clock; older documents need not be in it. The limits are
    examined over the whole log all the same.
    terms: for fairness, lanes, idleness and refusals; what they leave open is stated and not held.
    """

    limits: Sequence[Limit] | None = None
    profile: str | None = None
    allow_pending: bool = False
    since_ns: int | None = None
    terms: Terms = STATED


def certify(
    log_path: Path,
    accepted_path: Path | None = None,
    *,
    limits: Sequence[Limit] | None = None,
    profile: str | None = None,
    allow_pending: bool = False,
    since_ns: int | None = None,
    terms: Terms = STATED,
) -> Certificate:
    """Read an ERP's log and state what it experienced; the options are those of `Held`.

    accepted_path: what clients were told; without it losses, order, waits and shares are not examined.

    Raises Unreadable (file, line, what was expected), WrongUse (no limits, a limit that says nothing)
    and OSError. Deterministic: same bytes and arguments, same certificate.
    """
    held = Held(limits=limits, profile=profile, allow_pending=allow_pending, since_ns=since_ns, terms=terms)
    accepted = read_accepted(accepted_path) if accepted_path is not None else None
    return state(read_log(log_path), accepted, held)


def state(log: ErpLog, accepted: AcceptedList | None, held: Held, previous: str = "") -> Certificate:
    """The sealed statement about one log. Raises WrongUse as `certify` does."""
    named = list(held.limits or (profile_limits(held.profile) if held.profile else ()))
    timeline = Timeline(log)
    tracks = tracks_of(_checked([(-1, named)] if named else log.limit_changes))
    findings = [one for one in (find(timeline, track) for track in tracks) if one.limit != UNLIMITED]
    documents = log.documents()
    books = Books(accepted.rows, documents, held.since_ns, accepted.others) if accepted is not None else None
    story = Story(accepted, log, tracks, held.terms, timeline.at) if accepted is not None and accepted.rows else None
    checks = [
        *_chain(log),
        *duplicate_checks(documents),
        *loss_checks(books, held.allow_pending),
        check("order", "per account and lane, effects in sequence", inversions(books) if books else None),
        *(story.checks() if story else ()),
        *refusal_checks(log, held.terms),
    ]
    reasons = _reasons(log, findings, checks)
    span = (min(timeline.arrivals), max(timeline.ends)) if len(log) else None
    return seal(
        Certificate(
            format=CERTIFICATE_FORMAT,
            verdict="FAIL" if reasons else "PASS",
            reasons=reasons,
            notes=_notes(log, accepted, held, books),
            profile=held.profile or log.profile,
            sources=_sources(log, accepted),
            first_at=timeline.at(span[0]) if span else None,
            last_at=timeline.at(span[1]) if span else None,
            seconds=seconds_of(span[1] - span[0]) if span else 0,
            calls=_counts(log),
            documents=len(documents),
            limits=findings,
            checks=checks,
            waits=lane_waits(books) if books else [],
            service=story.service if story else None,
            previous=previous,
        )
    )


def _checked(changes: Sequence[tuple[int, Sequence[Limit]]]) -> Sequence[tuple[int, Sequence[Limit]]]:
    named = [check_limit(limit) for _, limits in changes for limit in limits]
    if not named:
        raise WrongUse("the log's header names no limit; give --profile, or --limit '10/1s' and the like")
    return changes


def _chain(log: ErpLog) -> list[Check]:
    if not log.chain.chained and not log.chain.broken:
        return []
    broken = [Example(f"line {one.line}", one.detail) for one in log.chain.breaks]
    return [msgspec.structs.replace(check("chain", "the log is one unbroken chain", broken), count=log.chain.broken)]


def _reasons(log: ErpLog, findings: list[LimitFinding], checks: list[Check]) -> list[str]:
    reasons = ["the log holds no call, so it proves nothing"] if not len(log) else []
    reasons += [_over(finding) for finding in findings if finding.over]
    reasons += [_broken(one) for one in checks if one.holds is False]
    return reasons


def _over(finding: LimitFinding) -> str:
    where = f", from {finding.where.start_at or finding.where.start_ns}" if finding.where else ""
    instants = "instants" if finding.kind == "concurrent" else "windows"
    return f"{finding.name}: {finding.worst:g} at worst{where}; {finding.violations} {instants} over"


def _broken(broken: Check) -> str:
    first = broken.examples[0]
    line = f" (line {first.line})" if first.line is not None else ""
    return f"{broken.promise}: broken {broken.count}x, first {first.key or '(no key)'}: {first.detail}{line}"


def _notes(log: ErpLog, accepted: AcceptedList | None, held: Held, books: Books | None) -> list[str]:
    notes = [f"the ERP's log says at line {line}: {note}" for line, note in log.notes]
    since_ns = held.since_ns
    if older := sum(since_ns is not None and document.arrived_ns < since_ns for document in log.documents()):
        notes.append(f"{older} documents are older than the accepted list and were not held against it")
    if accepted is None:
        notes.append("no accepted list: losses, order, waits and shares were not examined")
    elif held.allow_pending and (open_ := sum(row.outcome == "pending" for row in accepted.rows)):
        notes.append(f"{open_} messages were still pending and were allowed to be")
    if books is not None and (theirs := sum(books.by_others(document) for document in books.documents)):
        notes.append(
            f"{theirs} documents answer messages of other producers, by the middleware's own list of what it accepted"
        )
    if log.unfinished:
        notes.append(f"{len(log.unfinished)} calls have no end in the log: each counts until the ERP stopped")
    if log.chain.chained and not log.chain.has_head:
        notes.append("no head lies beside the log: whether it was cut at its end cannot be told")
    if not log.chain.chained:
        notes.append("the lines of the log are not chained: whether it was changed cannot be told from it")
    sets = [limits for _, limits in log.limit_changes]
    if changes := sum(limits != before for before, limits in itertools.pairwise(sets)):
        notes.append(f"the ERP changed its limits {changes}x; a window has the one in force at its last call")
    return notes


def _counts(log: ErpLog) -> CallCounts:
    by_op = {name: log.ops.count(code) for code, name in enumerate(log.op_names)}
    posts = by_op.get("post", 0)
    lookups = sum(by_op.get(op, 0) for op in LOOKUP_OPS)
    return CallCounts(
        total=len(log),
        posts=posts,
        lookups=lookups,
        other=len(log) - posts - lookups,
        refused_429=log.refused_codes.total(),
        refused_codes=dict(sorted(log.refused_codes.items())),
        unfinished=len(log.unfinished),
        unanswered=log.unanswered,
    )


def _sources(log: ErpLog, accepted: AcceptedList | None) -> Sources:
    return Sources(
        log_sha256=log.sha256,
        log_bytes=log.bytes,
        log_lines=log.line_count,
        log_chain=log.chain.last,
        restarts=log.restarts,
        accepted_sha256=accepted.sha256 if accepted else None,
        accepted_bytes=accepted.bytes if accepted else None,
        accepted_messages=len(accepted.rows) if accepted else None,
    )
