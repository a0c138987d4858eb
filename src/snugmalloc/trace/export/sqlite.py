"""Owns SQLite databases: events, the lives of blocks, threads, frames and stacks as tables.

SQLite's numbers have 63 bits and a sign: larger ones, which only refused requests and foreign pointers have,
are written as the largest.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from snugmalloc.trace.blocks import NEVER, History
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.export import Request
from snugmalloc.trace.export.profile import clean
from snugmalloc.trace.export.rows import event_rows
from snugmalloc.trace.following import read_history
from snugmalloc.trace.format import Flags
from snugmalloc.trace.operations import Operation
from snugmalloc.trace.reader import TraceReader
from snugmalloc.trace.tables import SourceFrame, Tables

LARGEST = 2**63 - 1
TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value);
CREATE TABLE events (
    event INTEGER PRIMARY KEY, operation TEXT, refused INTEGER, thread INTEGER, seconds REAL, size INTEGER,
    number INTEGER, address INTEGER, old INTEGER, block INTEGER, freed INTEGER, stack INTEGER
);
CREATE TABLE blocks (
    block INTEGER PRIMARY KEY, operation TEXT, size INTEGER, address INTEGER, thread INTEGER, stack INTEGER,
    begun_call INTEGER, begun_seconds REAL, ended_call INTEGER, ended_seconds REAL, ended_by_thread INTEGER
);
CREATE TABLE threads (thread INTEGER PRIMARY KEY, name TEXT, system_id INTEGER, calls INTEGER);
CREATE TABLE frames (
    frame INTEGER PRIMARY KEY, file TEXT, line INTEGER, function TEXT, module TEXT, offset INTEGER
);
CREATE TABLE stacks (stack INTEGER, depth INTEGER, frame INTEGER, PRIMARY KEY (stack, depth)) WITHOUT ROWID;
"""


def write(reader: TraceReader, path: Path, request: Request) -> None:
    """Write all of a trace. The file is there when it is complete."""
    if path.exists() and not path.is_file():
        raise TraceError(f"{path}: a database is written to a file of its own")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with closing(sqlite3.connect(unfinished, isolation_level=None)) as database:
            database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN;" + TABLES)
            _fill(database, reader, request)
            database.execute("COMMIT")
        unfinished.replace(path)
    except sqlite3.Error as error:
        raise TraceError(f"{path}: {error}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _fill(database: sqlite3.Connection, reader: TraceReader, request: Request) -> None:
    history = read_history(reader)
    for table, rows in (
        ("events", event_rows(reader, request)),
        ("blocks", _blocks(reader, history)),
        ("threads", _threads(history)),
        ("frames", _frames(reader.tables)),
        ("stacks", _stacks(reader.tables)),
        ("about", _about(reader)),
    ):
        columns = len(database.execute(f"SELECT * FROM {table}").description)
        places = ", ".join("?" * columns)
        database.executemany(f"INSERT INTO {table} VALUES ({places})", map(_stored, rows))


def _stored(row: tuple[Any, ...]) -> list[Any]:
    return [
        min(value, LARGEST) if isinstance(value, int) else clean(value) if isinstance(value, str) else value
        for value in row
    ]


def _about(reader: TraceReader) -> Iterator[tuple[str, Any]]:
    header = reader.header
    yield from {
        **reader.about,
        "trace": reader.name,
        "process": header.pid or None,
        "page_bytes": header.page_size or None,
        "mean_gap": header.mean_gap or None,
        "start_nanoseconds": header.start_realtime or None,
    }.items()


def _blocks(reader: TraceReader, history: History) -> Iterator[tuple[Any, ...]]:
    """Each block; calls are numbers of calls from 1, as in a report."""
    flags, blocks = reader.header.flags, history.blocks
    has_addresses = Flags.ADDRESSES in flags
    ticks = reader.header.ticks_per_second if Flags.TIMES in flags else 0
    for block, ended in enumerate(blocks.ended):
        is_freed = ended != NEVER
        yield (
            block,
            Operation(blocks.operation[block]).name.lower(),
            blocks.size[block],
            blocks.address[block] if has_addresses else None,
            blocks.thread[block],
            blocks.stack[block] or None,
            blocks.begun[block],
            history.begun_at(block) / ticks if ticks else None,
            ended if is_freed else None,
            history.ended_at(block) / ticks if ticks and is_freed else None,
            blocks.ended_by[block] if is_freed else None,
        )


def _threads(history: History) -> Iterator[tuple[Any, ...]]:
    for thread in sorted({*history.calls_of_thread, *history.names, *history.thread_ids}):
        name, system_id = history.names.get(thread), history.thread_ids.get(thread)
        yield thread, name, system_id, history.calls_of_thread[thread]


def _frames(tables: Tables) -> Iterator[tuple[Any, ...]]:
    for number, frame in enumerate(tables.frames):
        if isinstance(frame, SourceFrame):
            yield number, frame.file, frame.line or None, frame.function, None, None
        elif frame is not None:
            yield number, None, None, None, frame.module, frame.offset


def _stacks(tables: Tables) -> Iterator[tuple[int, int, int]]:
    """The frames of each stack, the innermost at depth 0."""
    for number in range(1, len(tables.stacks)):
        for depth, frame in enumerate(tables.frame_numbers_of(number)):
            yield number, depth, frame
