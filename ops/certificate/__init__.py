"""The surge certificate: what an ERP experienced, read from the ERP's own log and from nothing of ours.

A separate program in spirit: the standard library and msgspec only, no import of the daemon. Anyone
may run it over a log that any ERP proxy could have written: `python -m ops.certificate ERP_LOG`.
The log format is described in `erplog`, the accepted list in `accepted`.
"""

from ops.certificate.accepted import AcceptedRow, read_accepted
from ops.certificate.certify import Held, certify
from ops.certificate.erplog import ErpLog, read_log
from ops.certificate.limits import PROFILES, parse_limit
from ops.certificate.model import Certificate, Limit, Unreadable, WrongUse
from ops.certificate.seal import seal_holds
from ops.certificate.several import Certificates, certify_all, chain_holds
from ops.certificate.terms import HOUSE, STATED, Terms, Weights, read_terms

__all__ = [
    "HOUSE",
    "PROFILES",
    "STATED",
    "AcceptedRow",
    "Certificate",
    "Certificates",
    "ErpLog",
    "Held",
    "Limit",
    "Terms",
    "Unreadable",
    "Weights",
    "WrongUse",
    "certify",
    "certify_all",
    "chain_holds",
    "parse_limit",
    "read_accepted",
    "read_log",
    "read_terms",
    "seal_holds",
]
