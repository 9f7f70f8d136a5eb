"""The money faults of the catalogue: number, title, what is run, what is checked; and what runs in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support import money_faults as erp
from tests.support import money_operators as people
from tests.support.checkers import Finding

MONEY = (
    "I1 0 lost",
    "I2 0 doubled, money exact",
    "I3 within the limits, by the ERP's log",
    "I4 order per account",
    "I5 states true by the audit",
    "I8 0 unknown at the end, or with a person; healed",
)


@dataclass(frozen=True)
class MoneyFault:
    """`run` gives what does not hold. `quick`: it takes seconds, and is a test as well."""

    number: str
    title: str
    run: Callable[[Path], list[Finding]]
    checked: tuple[str, ...] = MONEY
    quick: bool = False


FAULTS = (
    MoneyFault("F47", "executes, and the answer is lost", erp.answers_lost),
    MoneyFault("F48", "accepts, and never answers", erp.never_answered),
    MoneyFault("F49", "executes late, the ERP recognises the intent", erp.late_and_recognised),
    MoneyFault("F49", "executes late, the stated window is waited out", erp.late_and_waited_for, quick=True),
    MoneyFault("F49", "executes late, recognised but not looked up", erp.late_and_only_recognised, quick=True),
    MoneyFault("F49", "executes late, neither look-up nor recognition: a person", erp.late_and_a_person_s, quick=True),
    MoneyFault("F50", "429 with seconds, a date, 0, -5, 10^9, nonsense, nothing", erp.throttled),
    MoneyFault("F51", "503 for everything at full load", erp.storm, (*MONEY, "amplification within 1.1, one probe")),
    MoneyFault("F52", "half of all calls go wrong at random", erp.random_errors, (*MONEY, "retries within budget")),
    MoneyFault(
        "F53", "200 with an error inside, no id, HTML, empty, 300 MB, gzip bomb, wrong charset", erp.nonsense,
        (*MONEY, "I9 memory bounded", "I6 bodies not logged"),
    ),
    MoneyFault("-", "404 from a stranger: wrong base URL", erp.wrong_address, quick=True),
    MoneyFault("F55", "the ERP forgets an acknowledged document", erp.document_lost),
    MoneyFault("F56", "token rotated under load, then revoked", erp.token_rotated, (*MONEY, "no stampede"), quick=True),
    MoneyFault("F57", "period closed, account blocked, currency off", erp.final_no, (*MONEY, "an owner each")),
    MoneyFault("F58", "budget lowered and raised while running", erp.budget_changed),
    MoneyFault("F59", "the ERP's clock is 5 min off, both ways", erp.clock_off),
    MoneyFault("F60", "no batch is sent, so none half succeeds", erp.one_document_a_call),
    MoneyFault("F83", "orders and retries while the daemon is killed", people.orders_while_killed,
               (*MONEY, "orders survive restarts, audited with who and why")),
    MoneyFault("F85", "mass retry while the cause remains", people.retried_while_the_cause_remains,
               (*MONEY, "the canary stops it; calls spent as stated"), quick=True),
    MoneyFault("F86", "own credit approved, approval replayed, amount changed after approval", people.approvals,
               ("refused, nothing done", "approval bound to the hash of what was approved")),
)  # fmt: skip
