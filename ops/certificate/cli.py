"""`python -m ops.certificate ERP_LOG... [--accepted FILE...] [--profile P | --limit "10/1s" ...] [--terms T] [--json]`.

Exit code 0: everything examined holds. 1: something is violated. 2: wrong use, or a file that cannot be read.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ops.certificate.certify import Held
from ops.certificate.limits import PROFILES, parse_limit
from ops.certificate.model import Unreadable, WrongUse
from ops.certificate.page import page
from ops.certificate.present import show
from ops.certificate.several import Certificates, certify_all
from ops.certificate.terms import STATED, read_terms


def main(argv: Sequence[str] | None = None) -> int:
    """Certify, print, return the exit code. Wrong options raise SystemExit(2)."""
    options = _parser().parse_args(argv)
    try:
        held = Held(
            limits=[parse_limit(text) for text in options.limit] or None,
            profile=options.profile,
            allow_pending=options.allow_pending,
            since_ns=options.since_ns,
            terms=read_terms(options.terms) if options.terms else STATED,
        )
        all_of_them = certify_all(options.log, options.accepted, held, options.head)
        if options.html is not None:
            options.html.write_text(page(all_of_them.certificates), "utf-8")
    except (Unreadable, WrongUse, OSError) as error:
        sys.stderr.write(f"certificate: {error}\n")
        return 2
    _print(all_of_them, options.json)
    return 0 if all_of_them.verdict == "PASS" else 1


def _print(all_of_them: Certificates, as_json: bool) -> None:
    """One log: its certificate as it is; several: one after the other, and a line over all."""
    certificates = all_of_them.certificates
    if as_json:
        said: object = certificates[0] if len(certificates) == 1 else all_of_them
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(said)).decode() + "\n")
        return
    for certificate in certificates:
        show(certificate, sys.stdout)
    if len(certificates) > 1:
        passed = sum(one.verdict == "PASS" for one in certificates)
        sys.stdout.write(f"\nCERTIFICATES: {all_of_them.verdict}: {passed} of {len(certificates)} logs pass\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ops.certificate", description="State what an ERP experienced, from its own log."
    )
    parser.add_argument(
        "log", type=Path, nargs="+", metavar="ERP_LOG", help="an ERP's log (tidegate-erp-log/1); one for each system"
    )
    parser.add_argument(
        "--accepted",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="what clients were told (JSON Lines): one for all logs, or one for each in their order",
    )
    held = parser.add_mutually_exclusive_group()
    held.add_argument("--profile", choices=sorted(PROFILES), help="hold the log against published limits")
    held.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="LIMIT",
        help="'10/1s', '5 concurrent' or '1200 exec/300s'",
    )
    parser.add_argument(
        "--since-ns",
        type=int,
        metavar="NS",
        help="the accepted list begins here (the log's clock): older documents pass",
    )
    parser.add_argument("--allow-pending", action="store_true", help="a run in progress: pending is fine")
    parser.add_argument(
        "--terms",
        metavar="house|FILE",
        help="hold fairness, lanes, idleness and refusals to these terms (JSON); without it they are only stated",
    )
    parser.add_argument(
        "--head",
        type=Path,
        metavar="FILE",
        help="a head of the log's chain that was kept elsewhere (default: LOG.head)",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the certificate as one page as well")
    parser.add_argument("--json", action="store_true", help="print the certificate as JSON")
    return parser
