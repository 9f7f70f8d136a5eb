"""Liveness, readiness and metrics, for machines."""

from __future__ import annotations

from litestar import Response, get
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from actors.house import House


@get("/healthz", media_type="text/plain")
async def healthz() -> str:
    """Answers as long as the event loop turns."""
    return "ok\n"


@get("/readyz")
async def readyz(house: House) -> Response[dict[str, object]]:
    """200 when all actors are up, the store writes, and the broker says that we consume; else 503 and why."""
    ready = await house.is_ready()
    down = [row["path"] for row in house.actors() if row["state"] != "up"]
    body: dict[str, object] = {"ready": ready, "not_up": down, "store": house.store.writer.failure or "ok"}
    if reconciling := house.reconciling():
        body["reconciling"] = reconciling
    return Response(body, status_code=200 if ready else 503)


@get("/metrics")
async def metrics(registry: CollectorRegistry) -> Response[bytes]:
    """Counters and gauges in Prometheus' text format."""
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


HANDLERS = [healthz, readyz, metrics]
