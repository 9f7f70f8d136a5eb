"""Rows as the database gives them, made records."""

from __future__ import annotations

from typing import Any

import msgspec

from broker.store.rows import Call, GateRow, ProcessRow

_call_fields = [field.name for field in msgspec.structs.fields(Call)]
_gate_fields = [field.name for field in msgspec.structs.fields(GateRow)]
_process_fields = [field.name for field in msgspec.structs.fields(ProcessRow)]


def read_call(row: Any) -> Call:
    """A row of all columns of the table of calls."""
    return Call(**dict(zip(_call_fields, row, strict=True)))


def read_gate_event(row: Any) -> GateRow:
    """A row of all columns of the table of what gates learned."""
    return GateRow(**dict(zip(_gate_fields, row[1:], strict=True)))


def read_process(row: Any) -> ProcessRow:
    """A row of all columns of the table of processes."""
    return ProcessRow(**dict(zip(_process_fields, row, strict=True)))
