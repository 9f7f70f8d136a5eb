"""Two tenants may use the same key: what is with a person of one is not told of the other."""

import sqlite3
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from actors.explain_calls import CallExplainer
from broker.store.migrate import migrate
from broker.store.store import FILE, Store
from broker.store.unit import Unit
from tests.support.rows import call, step, trouble
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio


async def test_a_call_is_not_explained_by_what_another_tenant_has_with_a_person(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        rows = [
            msgspec.structs.replace(call(intent, ref=f"erp|{intent}"), tenant=intent, key="DOC-1") for intent in "ab"
        ]
        troubles = [
            msgspec.structs.replace(trouble("DOC-1"), tenant=name, owner=f"of-{name}") for name in ("b", "c", "")
        ]
        await store.commit(Unit(1, calls=rows, exceptions=troubles[:2]))
        calls = {found.tenant: found for found in await store.reads.calls_by_key("DOC-1")}
        explainer = CallExplainer(SimpleNamespace(store=store))  # type: ignore[arg-type]
        assert await explainer._trouble(calls["a"]) is None
        found = await explainer._trouble(calls["b"])
        assert found is not None
        assert found.owner == "of-b"
        await store.commit(Unit(2, exceptions=troubles[2:]))
        found = await explainer._trouble(calls["a"])
        assert found is not None, "what cannot be read may be anybody's"
        assert found.owner == "of-"


async def test_an_older_store_learns_whose_exceptions_and_which_answers_may_be_missing(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        rows = [call(intent, ref=f"erp|{intent}") for intent in ("sent", "never", "done")]
        mine = [msgspec.structs.replace(trouble("k"), intent_id=intent) for intent in ("sent", None)]
        await store.commit(Unit(1, calls=rows, exceptions=mine))
        sent, _, done = [(await store.reads.calls_by_key(row.intent_id))[0] for row in rows]
        flying = [step(one, "in_flight") for one in (sent, done)]
        await store.commit(Unit(2, call_changes=flying))
        back = [step(one.call, to, at=7) for one, to in zip(flying, ("waiting", "done"), strict=True)]
        await store.commit(Unit(7, call_changes=back))
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("ALTER TABLE call DROP COLUMN unanswered_at")
        connection.execute("ALTER TABLE exception DROP COLUMN tenant")
        connection.execute("UPDATE alembic_version SET version_num = '0013'")
    connection.close()
    migrate(tmp_path / FILE)
    async with Store(tmp_path) as store:
        found = {
            one.intent_id: one.unanswered_at for row in rows for one in await store.reads.calls_by_key(row.intent_id)
        }
        assert found == {"sent": 7, "never": 0, "done": 0}
        assert {one.intent_id: one.tenant for one in await store.reads.exceptions()} == {
            "sent": rows[0].tenant,
            None: "",
        }
