"""The systems that the sandbox can be: the ERP, and billing, support, CRM and revenue reporting beside it.

All are the same program with the same limits, faults, ledger and log; they differ in the name of their documents and
in what a request must say. A process of the sandbox is one of them.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ops.sandbox.documents import Invalid, check, check_amount

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Note = Annotated[str, msgspec.Meta(max_length=4_000)]


class Posting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a request to a system beside the ERP says. `reverses` is the document that this one takes back."""

    reference: Text
    account_id: Text
    source_document: Text
    kind: Text
    amount: str | None = None
    currency: str | None = None
    reason_code: Text | None = None
    reverses: Text | None = None
    outcome: Text | None = None
    note: Note | None = None


class System(msgspec.Struct, frozen=True):
    """One system: where its documents are, the letters of their ids, and the kinds that it knows (none: the ERP's)."""

    name: str
    title: str
    path: str
    prefix: str
    kinds: tuple[str, ...] = ()
    account: dict[str, Any] | None = None
    """What it says of an account that nobody told it anything about, if it knows accounts."""

    def check(self, fields: dict[str, Any]) -> Invalid | None:
        """Say what is wrong with a request body, or None when it can be posted."""
        if not self.kinds:
            return check(fields)
        try:
            posting = msgspec.convert(fields, Posting)
        except msgspec.ValidationError as error:
            return Invalid("field.invalid", str(error))
        if posting.kind not in self.kinds:
            return Invalid("field.invalid", f"kind: expected one of {', '.join(self.kinds)}")
        if _takes_back(posting.kind) and posting.reverses is None:
            return Invalid("field.missing", f"reverses: a {posting.kind} says which document it takes back")
        if posting.amount is not None:
            return check_amount(posting.amount, posting.currency)
        return None

    def words(self, fields: dict[str, Any]) -> tuple[str, str]:
        """Status of the document and its reason code: for the systems beside the ERP its kind, and what it is about."""
        if not self.kinds:
            return "posted", fields["reason_code"]
        about = (fields.get(name) for name in ("reverses", "outcome", "reason_code"))
        return fields["kind"], next((text for text in about if text), "")

    def account_record(self, accounts: Path, account_id: str) -> dict[str, Any] | None:
        """What it says of an account: the usual, and what the file `accounts` says differs for this one.

        The file is JSON, an object by account id; it may change while the system runs. Raises OSError, ValueError.
        """
        if self.account is None:
            return None
        known = json.loads(accounts.read_text("utf-8")) if accounts.exists() else {}
        return {"account_id": account_id, **self.account, **known.get(account_id, {})}

    def reversed_by(self, fields: dict[str, Any]) -> str | None:
        """The document that must be on the books for this request to make sense, if there is one."""
        return fields.get("reverses") if self.kinds else None


def _takes_back(kind: str) -> bool:
    return kind.endswith((".void", ".recharge", ".restore"))


SYSTEMS = {
    system.name: system
    for system in (
        System("erp", "Sandbox ERP", "/adjustments", "ADJ"),
        System(
            "billing",
            "Sandbox billing",
            "/credits",
            "CRN",
            (
                "credit.create",
                "credit.void",
                "refund.create",
                "refund.recharge",
                "invoice.correct",
                "invoice.restore",
                "subscription.amend",
                "subscription.restore",
            ),
            {"open": 1, "overdue": 0},
        ),
        System("support", "Sandbox support desk", "/case-updates", "UPD", ("case.update", "status.report")),
        System(
            "crm",
            "Sandbox CRM",
            "/activities",
            "ACT",
            ("status.report", "contract.amend", "contract.restore"),
            {"contract": "CT-1", "status": "active", "tier": "standard", "entitled": True},
        ),
        System("revenue", "Sandbox revenue reporting", "/entries", "REV", ("status.report",)),
    )
}
