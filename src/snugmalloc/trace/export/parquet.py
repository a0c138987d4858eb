"""Owns Parquet files, which DuckDB, Polars, Spark and pandas read: a row for each event. Written by pyarrow."""

from __future__ import annotations

from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.export import Request
from snugmalloc.trace.export.profile import clean
from snugmalloc.trace.export.rows import EventRow, StackNames, event_rows
from snugmalloc.trace.reader import TraceReader

ROWS_IN_GROUP = 1 << 17


def write(reader: TraceReader, path: Path, request: Request) -> None:
    """Write all events, and what is known of the trace as the schema's metadata."""
    arrow, parquet = _import("pyarrow"), _import("pyarrow.parquet")
    schema = _schema(arrow, reader)
    stacks = StackNames(reader.tables)
    rows = event_rows(reader, request)
    with path.open("wb") as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(rows, ROWS_IN_GROUP)):
            writer.write_table(_table(arrow, schema, group, stacks))


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise TraceError("Parquet needs pyarrow: pip install 'snugmalloc[parquet]'") from None


def _schema(arrow: Any, reader: TraceReader) -> Any:
    text = arrow.dictionary(arrow.int32(), arrow.string())
    types = {
        "event": arrow.uint64(),
        "operation": text,
        "refused": arrow.bool_(),
        "thread": arrow.uint64(),
        "seconds": arrow.float64(),
        "size": arrow.uint64(),
        "number": arrow.uint64(),
        "address": arrow.uint64(),
        "old": arrow.uint64(),
        "block": arrow.uint64(),
        "freed": arrow.uint64(),
        "stack": text,
    }
    header = reader.header
    about = {
        **reader.about,
        "trace": reader.name,
        "process": header.pid or "",
        "page_bytes": header.page_size or "",
        "mean_gap": header.mean_gap or "",
        "start_nanoseconds": header.start_realtime or "",
    }
    known = {clean(name): clean(str(value)) for name, value in about.items() if value != ""}
    return arrow.schema(list(types.items()), metadata=known)


def _table(arrow: Any, schema: Any, rows: list[EventRow], stacks: StackNames) -> Any:
    names = [stacks.name(row.stack) for row in rows]
    columns = dict(zip(EventRow._fields, zip(*rows, strict=True), strict=True))
    columns["stack"] = tuple(name if name is None else clean(name) for name in names)
    arrays = [arrow.array(columns[field.name], type=field.type) for field in schema]
    return arrow.Table.from_arrays(arrays, schema=schema)
