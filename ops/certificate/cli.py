"""`python -m ops.certificate ERP_LOG [--accepted FILE] [--profile P | --limit "10/1s" ...] [--json]`.

Exit code 0: everything examined holds. 1: something is violated. 2: wrong use, or a file that cannot be read.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ops.certificate.certify import certify
from ops.certificate.limits import PROFILES, parse_limit
from ops.certificate.model import Unreadable, WrongUse
from ops.certificate.present import show


def main(argv: Sequence[str] | None = None) -> int:
    """Certify one log, print the certificate, return the exit code. Wrong options raise SystemExit(2)."""
    options = _parser().parse_args(argv)
    try:
        certificate = certify(
            options.log,
            options.accepted,
            limits=[parse_limit(text) for text in options.limit] or None,
            profile=options.profile,
            allow_pending=options.allow_pending,
            since_ns=options.since_ns,
        )
    except (Unreadable, WrongUse, OSError) as error:
        sys.stderr.write(f"certificate: {error}\n")
        return 2
    if options.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(certificate)).decode() + "\n")
    else:
        show(certificate, sys.stdout)
    return 0 if certificate.verdict == "PASS" else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ops.certificate", description="State what an ERP experienced, from its own log."
    )
    parser.add_argument("log", type=Path, metavar="ERP_LOG", help="the ERP's log (tidegate-erp-log/1)")
    parser.add_argument("--accepted", type=Path, metavar="FILE", help="what clients were told (JSON Lines)")
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
    parser.add_argument("--json", action="store_true", help="print the certificate as JSON")
    return parser
