"""The surge certificate: what an ERP experienced, read from the ERP's own log and from nothing of ours.

A separate program in spirit: the standard library and msgspec only, no import of the daemon. Anyone
may run it over a log that any ERP proxy could have written: `python -m ops.certificate ERP_LOG`.
The log format is described in `erplog`, the accepted list in `accepted`.
"""

from ops.certificate.accepted import AcceptedRow, read_accepted
from ops.certificate.certify import certify
from ops.certificate.erplog import ErpLog, read_log
from ops.certificate.limits import PROFILES, parse_limit
from ops.certificate.model import Certificate, Limit, Unreadable, WrongUse
from ops.certificate.seal import seal_holds

__all__ = [
    "PROFILES",
    "AcceptedRow",
    "Certificate",
    "ErpLog",
    "Limit",
    "Unreadable",
    "WrongUse",
    "certify",
    "parse_limit",
    "read_accepted",
    "read_log",
    "seal_holds",
]
