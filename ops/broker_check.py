"""`tidegate broker check`: what a broker would do with our messages, before the first start, and how to put it right.

It creates nothing of ours and changes nothing: it redeclares what exists, which RabbitMQ answers with the difference,
and tries the rest on queues of its own.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from shlex import quote

import msgspec

from actors.build import broker_url
from actors.credit_policy import CreditPolicyDecider
from actors.erp_requests import ErpRequestDecider
from actors.runtime.entropy import SystemEntropy
from actors.settings import Settings
from broker.port import BrokerError
from broker.rabbitmq.inspection import RETURNS, Probe, Thing, look_at, probe
from broker.rabbitmq.link import Link
from broker.rabbitmq.session import Session
from broker.rabbitmq.settings import RabbitMQSettings
from broker.topology import build

_OLDEST = (3, 10)
_MARKS = {"ok": "ok   ", "note": "note ", "fix": "FIX  "}


class Line(msgspec.Struct, frozen=True):
    """One thing found. `verdict` is ok, note (good to know) or fix (the daemon would refuse to start, or lose)."""

    verdict: str
    subject: str
    detail: str
    fix: str = ""
    """Exact commands, one a line."""


def run_check(settings: Settings, as_json: bool) -> int:
    """Look at the configured broker and print what was found; 0 when all is fine, 1 when something is to be fixed."""
    url = broker_url(settings)
    if url == "embedded":
        lines = [Line("ok", "broker", "embedded: the queues are in the store, there is no server to check")]
    else:
        for library in ("aio_pika", "aiormq"):
            logging.getLogger(library).setLevel(logging.CRITICAL)  # what they complain about is in our findings
        lines = asyncio.run(_check(RabbitMQSettings(url=url, call_seconds=5.0), settings.broker.partitions))
    sys.stdout.write((_as_json(lines) if as_json else _as_text(lines)) + "\n")
    return int(any(line.verdict == "fix" for line in lines))


def _as_json(lines: list[Line]) -> str:
    fine = all(line.verdict != "fix" for line in lines)
    return msgspec.json.encode({"fine": fine, "findings": lines}).decode()


def _as_text(lines: list[Line]) -> str:
    said = []
    for line in lines:
        said.append(f"{_MARKS[line.verdict]}{line.subject}: {line.detail}")
        said += [f"         {command}" for command in line.fix.splitlines()]
    return "\n".join(said)


async def _check(settings: RabbitMQSettings, partitions: int) -> list[Line]:
    stamp = SystemEntropy().new_id()
    try:
        session = await Session.open(settings, stamp)
    except BrokerError as problem:
        return [Line("fix", "connection", str(problem))]
    try:
        lines = [*_connection(session.into), *_version(session.into.server)]
        topology = build([CreditPolicyDecider.domain, ErpRequestDecider.domain], partitions)
        try:
            lines += _things(await look_at(session.into, topology, settings), settings.vhost)
            lines += _probed(await probe(session, settings, stamp), settings)
        except BrokerError as problem:
            lines.append(_failed(problem, session, settings))
        else:
            lines.append(Line("ok", "permissions", f"user {settings.user!r} may configure, write and read"))
        return lines
    finally:
        await session.close()


def _connection(link: Link) -> list[Line]:
    beat, frame = link.heartbeat_seconds, link.frame_bytes_max
    lines = [Line("ok", "connection", f"{link.settings.place}, user {link.settings.user!r}")]
    seen = f"{beat} s: a silent peer is given up after {3 * (beat + 1)} s"
    lines.append(Line("ok" if 0 < beat <= 20 else "note", "heartbeat", seen))
    if frame >= 16_384:
        lines.append(Line("ok", "frame size", f"{frame} bytes"))
    else:
        fix = "in rabbitmq.conf: frame_max = 131072"
        lines.append(Line("fix", "frame size", f"{frame} bytes; headers of 8 KiB need 16384 or more", fix))
    return lines


def _version(server: tuple[str, str]) -> list[Line]:
    product, version = server
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if product != "RabbitMQ":
        return [Line("note", "server", f"{product} {version}: only RabbitMQ has been tried")]
    if numbers < _OLDEST:
        detail = f"RabbitMQ {version}: 3.10 is the oldest that can dead-letter at least once"
        return [Line("fix", "server", detail, "apt-get install rabbitmq-server   # 3.10 or later")]
    lines = [Line("ok", "server", f"RabbitMQ {version}")]
    if numbers < (4, 0):
        what = "no delivery limit unless a policy sets one; quorum queues know no priorities; messages up to 128 MiB"
        lines.append(Line("note", "RabbitMQ 3", f"{what}. Every stop counts as a delivery: we set a limit of our own"))
    else:
        what = "delivery limit 20 unless a queue says otherwise (ours do); messages up to 16 MiB (ours: 256 KiB)"
        lines.append(Line("note", "RabbitMQ 4", f"{what}; classic queues confirm before the disk (ours are quorum)"))
    return lines


# topology ----------------------------------------------------------------------------------------------------


def _things(things: list[Thing], vhost: str) -> list[Line]:
    lines = [_different(thing, vhost) for thing in things if thing.state == "different"]
    for kind in ("exchange", "queue"):
        names = {
            state: [t.name for t in things if t.kind == kind and t.state == state] for state in ("same", "missing")
        }
        if names["same"]:
            lines.append(Line("ok", f"{kind}s", f"{len(names['same'])} as needed: {_list(names['same'])}"))
        if names["missing"]:
            detail = f"{len(names['missing'])} missing, created at the start: {_list(names['missing'])}"
            lines.append(Line("ok", f"{kind}s", detail))
    return lines


def _list(names: list[str]) -> str:
    return ", ".join(names)


def _different(thing: Thing, vhost: str) -> Line:
    told = [f"{d.name} is {_shown(d.current)}, needed {_shown(d.needed)}" for d in thing.differences]
    if thing.kind == "queue":
        where = quote(vhost)
        fix = (
            f"rabbitmqctl list_queues -p {where} name messages consumers   # drain {thing.name} first, if it has any\n"
            f"rabbitmqctl delete_queue -p {where} {thing.name}"
        )
    else:
        resource = f'rabbit_misc:r(<<"{vhost}">>, exchange, <<"{thing.name}">>)'
        deletion = f'rabbit_exchange:delete({resource}, false, <<"cli">>).'
        fix = f"rabbitmqctl eval {quote(deletion)}"
    return Line("fix", f"{thing.kind} {thing.name}", "; ".join(told) or thing.said, fix)


def _shown(value: str | None) -> str:
    return "not set" if value is None else value


# behaviour ---------------------------------------------------------------------------------------------------


def _probed(found: Probe, settings: RabbitMQSettings) -> list[Line]:
    vhost, wanted = quote(settings.vhost), settings.delivery_limit
    policy = (
        f"rabbitmqctl list_policies -p {vhost}   # find what sets delivery-limit on our queues\n"
        f"rabbitmqctl clear_policy -p {vhost} NAME\n"
        f"rabbitmqctl set_policy -p {vhost} --priority 100 --apply-to queues tidegate '^tidegate' "
        f"'{{\"delivery-limit\": {wanted}}}'   # instead, where the policy must stay"
    )
    if found.limited:
        limit = max(found.deliveries - 1, 0)
        detail = f"{limit} by the broker's own doing (a policy), needed {wanted}: {limit} stops would dead-letter work"
        lines = [Line("fix", "delivery limit", detail, policy)]
    else:
        lines = [Line("ok", "delivery limit", f"a message survives {RETURNS} returns; the queues say {wanted}")]
    if found.dead_lettered:
        return [*lines, Line("ok", "dead letters", "a rejected message arrives where dead letters go")]
    detail = f"a rejected message did not arrive within {settings.call_seconds:g} s; it would be lost"
    fix = (
        f"rabbitmqctl list_policies -p {vhost}   # clear what sets overflow or dead-letter-* on our queues\n"
        "rabbitmqctl enable_feature_flag stream_queue"
    )
    return [*lines, Line("fix", "dead letters", detail, fix)]


def _failed(problem: BrokerError, session: Session, settings: RabbitMQSettings) -> Line:
    if not problem.retry:
        fix = f"rabbitmqctl set_permissions -p {quote(settings.vhost)} {quote(settings.user)} '^tidegate' '.*' '.*'"
        return Line("fix", "permissions", str(problem), fix)
    if session.out.blocked is not None:
        fix = "rabbitmqctl list_alarms   # free memory or disk on the broker's machine, then check again"
        return Line("fix", "alarm", f"the broker takes no messages: {session.out.blocked}", fix)
    return Line("fix", "broker", str(problem), "rabbitmqctl list_alarms\nrabbitmqctl list_unresponsive_queues")
