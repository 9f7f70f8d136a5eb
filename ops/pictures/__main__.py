"""Pictures of `tidegate top` and of the report page for the documents, as SVG, made from a real run.

`python -m ops.pictures FOLDER`, which is `make pictures`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ops.certificate import certify, read_accepted, read_log
from ops.client import Client
from ops.pictures.draw import report_svg, top_svg
from ops.process import DaemonProcess
from ops.report.series import curves
from ops.sandbox.limits import profile_words
from ops.sandbox.process import SandboxProcess
from ops.surging import run_surge

PROFILE = "demo"
DAY = "1000/day"
"""One more limit, so that there is something to plan for."""
TENANTS = ("acme", "borealis", "cobalt", "delta", "ember", "fjord", "gamma", "harbour")


def main(folder: Path) -> None:
    """Run an incident through a daemon into a sandbox ERP, and draw what was seen."""
    limits = profile_words(PROFILE)
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        with SandboxProcess(work / "erp", PROFILE, latency_ms="40..60", seed=7) as erp:
            told = {"TIDEGATE_ERP__LIMITS": ",".join((*limits, DAY)), "TIDEGATE_ERP__URL": erp.url}
            with (
                DaemonProcess(work / "data", told) as daemon,
                Client(daemon.url, work / "data" / "operator.token") as client,
            ):
                run_surge(client, "incident", 600, 7, None, work, True)
                accepted = work / "accepted.jsonl"
                certificate = certify(erp.log_path, accepted)
                drawn = curves(certificate, read_log(erp.log_path), read_accepted(accepted).rows, ())
                picture = _busy(client)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.svg").write_text(top_svg(picture), "utf-8")
    (folder / "report.svg").write_text(report_svg(certificate, drawn), "utf-8")
    sys.stdout.write(f"{folder / 'top.svg'}\n{folder / 'report.svg'}\n")


def _busy(client: Client) -> dict[str, Any]:
    """A moment in which several tenants wait, one of them paused."""
    reason = {"reason": "their migration", "who": "dana"}
    client.operate("set", name="weight", target="tenant:borealis", value="3", reason="go-live", who="dana")
    patch_night = "maintenance:Sun 02:00-04:00 Europe/Berlin"
    client.operate("set", name="window", target=patch_night, reason="patch night", who="dana")
    for number, tenant in enumerate(TENANTS):
        client.send([_adjustment(tenant, n) for n in range(400 // (number + 1))])
    client.operate("pause", target="tenant:cobalt,lane:bulk", **reason)
    time.sleep(3)
    return client.look("top")


def _adjustment(tenant: str, number: int) -> dict[str, Any]:
    name = f"{tenant}-{number}"
    return {
        "specversion": "1.0",
        "id": name,
        "source": "urn:pictures",
        "type": "erp.adjustment.request",
        "tenant": tenant,
        "idempotencykey": name,
        "lane": ("urgent", "standard", "bulk")[min(number % 6, 2)],
        "data": {
            "intent_id": f"INT-{name}",
            "account_id": f"ACC-{name}",
            "amount": {"amount": "12.50", "currency": "EUR"},
            "reason_code": "service_credit",
            "source_document": name,
            "kind": "credit",
        },
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("ops/docs"))
