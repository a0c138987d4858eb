"""Traces in the forms of other tools, read by readers that are not this project's."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from snugmalloc.trace import (
    Event,
    Flags,
    Header,
    NativeFrame,
    Operation,
    SourceFrame,
    TraceReader,
    TraceWriter,
    blocks_behind,
)
from snugmalloc.trace.errors import TraceError
from snugmalloc.trace.export import FORMS, PROFILES, VALUES, Request, export
from snugmalloc.trace.operations import HAS_ADDRESS, HAS_NUMBER, HAS_POINTER, HAS_SIZE

from .sample import EVERYTHING, WORD, Arguments, for_all, traces, write

HEADER = Header(EVERYTHING, start_realtime=1_700_000_000_000_000_000, pid=77, page_size=4096)
NAME = 'lo;ad\n"<é>'
"""A function: names come from programs, and may have anything in them."""


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Three stacks, one of which is native, and blocks without a stack."""
    path = tmp_path / "app.snug"
    main = SourceFrame("app.py", 1, "main")
    with TraceWriter(path, HEADER, {"program": "python app.py"}) as writer:
        load = writer.stack([SourceFrame("app.py", 7, NAME), main])
        native = writer.stack([NativeFrame("c0ffee", 0x1234), NativeFrame("/lib/ld.so", 0), main])
        writer.add(Operation.THREAD_BEGIN, thread=0, number=41)
        writer.add(Operation.THREAD_NAME, thread=1, time=1, number=writer.text("worker"))
        for number in range(10):
            now = 1_000_000 * number
            writer.add(Operation.MALLOC, time=now, size=100, address=0x1000 + 128 * number, stack=load)
            writer.add(Operation.CALLOC, thread=1, time=now, size=60, number=3, address=0x9000, stack=native)
            writer.add(Operation.FREE, time=now + 10, old=0x9000)
        writer.add(Operation.MALLOC, time=9_500_000, size=7, address=0x20000)
        writer.add(Operation.REALLOC, time=9_600_000, size=WORD, old=0x20000, refused=True)
        writer.add(Operation.FREE, time=9_700_000, old=0xDEAD)
        writer.add(Operation.PURGE, time=9_800_000, size=4096, address=0x9000)
    return path


def exported(trace: Path, form: str, **request: Any) -> Path:
    path = trace.with_suffix(f".{form}")
    with TraceReader(trace) as reader:
        export(reader, form, path, Request(**request))
    return path


def events_of(trace: Path) -> list[Event]:
    with TraceReader(trace) as reader:
        return list(reader.events())


# pprof: the fields of its profile.proto that are written, by number, type and name.
MESSAGES = {
    "ValueType": "1 int64 type; 2 int64 unit",
    "Sample": "1 uint64* location_id; 2 int64* value",
    "Mapping": "1 uint64 id; 2 uint64 memory_start; 3 uint64 memory_limit; 4 uint64 file_offset;"
    " 5 int64 filename; 6 int64 build_id",
    "Line": "1 uint64 function_id; 2 int64 line",
    "Location": "1 uint64 id; 2 uint64 mapping_id; 3 uint64 address; 4 Line* line",
    "Function": "1 uint64 id; 2 int64 name; 3 int64 system_name; 4 int64 filename; 5 int64 start_line",
    "Profile": "1 ValueType* sample_type; 2 Sample* sample; 3 Mapping* mapping; 4 Location* location;"
    " 5 Function* function; 6 string* string_table; 7 int64 drop_frames; 8 int64 keep_frames;"
    " 9 int64 time_nanos; 10 int64 duration_nanos; 11 ValueType period_type; 12 int64 period;"
    " 13 int64* comment; 14 int64 default_sample_type",
}


def profile_class() -> Callable[[], Any]:
    """The class of the messages, made by protobuf of the numbers above."""
    kind = descriptor_pb2.FieldDescriptorProto
    types = {"int64": kind.TYPE_INT64, "uint64": kind.TYPE_UINT64, "string": kind.TYPE_STRING}
    file = descriptor_pb2.FileDescriptorProto(name="profile.proto", package="pprof", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields.split(";"):
            number, typed, called = field.split()
            label = kind.LABEL_REPEATED if typed.endswith("*") else kind.LABEL_OPTIONAL
            added = message.field.add(name=called, number=int(number), label=label)
            typed = typed.rstrip("*")
            if typed in types:
                added.type = types[typed]
            else:
                added.type, added.type_name = kind.TYPE_MESSAGE, f".pprof.{typed}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: Callable[[], Any] = message_factory.GetMessageClass(pool.FindMessageTypeByName("pprof.Profile"))
    return found


def parse_pprof(path: Path) -> Any:
    """The message in the file, in which nothing may be that is not known."""
    made = profile_class()
    profile, known = made(), made()
    content = gzip.decompress(path.read_bytes())
    assert profile.ParseFromString(content) == known.ParseFromString(content) == len(content)
    known.DiscardUnknownFields()
    assert known == profile
    return profile


def pprof_samples(profile: Any) -> dict[tuple[tuple[str, str, int], ...], tuple[int, ...]]:
    """The values of each stack, whose frames are function, file and line, the innermost first."""
    texts = profile.string_table
    functions = {function.id: function for function in profile.function}
    locations = {location.id: location for location in profile.location}
    assert 0 not in functions and 0 not in locations
    found = {}
    for sample in profile.sample:
        lines = [line for number in sample.location_id for line in locations[number].line]
        named = [(functions[line.function_id], line.line) for line in lines]
        stack = tuple((texts[function.name], texts[function.filename], line) for function, line in named)
        assert stack not in found
        found[stack] = tuple(sample.value)
    return found


MAIN = ("main", "app.py", 1)
LOAD = (NAME, "app.py", 7)
NATIVE = ("c0ffee+0x1234", "", 0)


def test_pprof_has_the_four_values_of_each_stack(trace: Path) -> None:
    profile = parse_pprof(exported(trace, "pprof"))
    texts = profile.string_table
    assert texts[0] == ""
    assert len(set(texts)) == len(texts)
    assert [(texts[kind.type], texts[kind.unit]) for kind in profile.sample_type] == [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ]
    assert pprof_samples(profile) == {
        (LOAD, MAIN): (10, 1000, 10, 1000),
        (NATIVE, ("/lib/ld.so+0x0", "", 0), MAIN): (10, 600, 0, 0),
        (("unknown", "", 0),): (1, 7, 1, 7),
    }
    assert (profile.time_nanos, profile.duration_nanos) == (HEADER.start_realtime, 9_800_000)
    assert [texts[comment] for comment in profile.comment] == ["python app.py", "in use at the end"]
    assert texts[profile.default_sample_type] == "inuse_space"
    mappings = {mapping.id: (texts[mapping.filename], texts[mapping.build_id]) for mapping in profile.mapping}
    assert [(place.address, *mappings[place.mapping_id]) for place in profile.location if place.mapping_id] == [
        (0x1234, "c0ffee", "c0ffee"),
        (0, "/lib/ld.so", ""),
    ]


def test_profiles_are_those_of_the_moment(trace: Path) -> None:
    samples = pprof_samples(parse_pprof(exported(trace, "pprof", at="2")))
    assert samples[LOAD, MAIN] == (10, 1000, 1, 100)
    assert samples[NATIVE, ("/lib/ld.so+0x0", "", 0), MAIN] == (10, 600, 1, 60)
    assert samples[(("unknown", "", 0),)] == (1, 7, 0, 0)


def test_a_sampled_trace_is_scaled_up(tmp_path: Path) -> None:
    path = tmp_path / "sampled.snug"
    with TraceWriter(path, HEADER._replace(mean_gap=10_000)) as writer:
        stack = writer.stack([SourceFrame("app.py", 1, "main")])
        writer.add(Operation.MALLOC, size=100, address=16, stack=stack)
    profile = parse_pprof(exported(path, "pprof"))
    blocks = blocks_behind(100, 10_000)
    expected = (round(blocks), round(100 * blocks)) * 2
    assert pprof_samples(profile) == {(MAIN,): expected}
    assert profile.period == 10_000


SPEEDSCOPE: dict[str, Any] = {
    "type": "object",
    "required": ["$schema", "shared", "profiles"],
    "properties": {
        "$schema": {"const": "https://www.speedscope.app/file-format-schema.json"},
        "activeProfileIndex": {"type": "integer", "minimum": 0, "maximum": 3},
        "exporter": {"type": "string"},
        "name": {"type": "string"},
        "shared": {
            "type": "object",
            "required": ["frames"],
            "properties": {
                "frames": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string"},
                            "file": {"type": "string"},
                            "line": {"type": "integer", "minimum": 1},
                            "col": {"type": "integer"},
                        },
                    },
                }
            },
        },
        "profiles": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "name", "unit", "startValue", "endValue", "samples", "weights"],
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "sampled"},
                    "name": {"type": "string"},
                    "unit": {
                        "enum": ["bytes", "microseconds", "milliseconds", "nanoseconds", "none", "seconds"]
                    },
                    "startValue": {"type": "number"},
                    "endValue": {"type": "number"},
                    "samples": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
                    "weights": {"type": "array", "items": {"type": "number"}},
                },
            },
        },
    },
}


def test_speedscope_has_a_profile_for_each_value(trace: Path) -> None:
    content = json.loads(exported(trace, "speedscope", at="peak").read_text())
    jsonschema.Draft202012Validator.check_schema(SPEEDSCOPE)
    jsonschema.validate(content, SPEEDSCOPE)
    frames = content["shared"]["frames"]
    profiles = {}
    for profile in content["profiles"]:
        assert profile["endValue"] == sum(profile["weights"])
        profiles[profile["name"], profile["unit"]] = {
            tuple(frames[number]["name"] for number in stack): weight
            for stack, weight in zip(profile["samples"], profile["weights"], strict=True)
        }
    load, native = ("main", NAME), ("main", "/lib/ld.so+0x0", "c0ffee+0x1234")
    assert profiles == {
        ("allocated blocks", "none"): {load: 10, native: 10, ("unknown",): 1},
        ("allocated bytes", "bytes"): {load: 1000, native: 600, ("unknown",): 7},
        ("blocks live at the peak", "none"): {load: 10, native: 1},
        ("bytes live at the peak", "bytes"): {load: 1000, native: 60},
    }
    assert {"name": "main", "file": "app.py", "line": 1} in frames
    assert content["profiles"][content["activeProfileIndex"]]["name"] == "allocated bytes"


@pytest.mark.parametrize(
    ("value", "figures"),
    [
        ("alloc_objects", (10, 10, 1)),
        ("alloc_space", (1000, 600, 7)),
        ("inuse_objects", (10, 0, 1)),
        ("inuse_space", (1000, 0, 7)),
    ],
)
def test_collapsed_stacks_have_a_line_for_each_stack(trace: Path, value: str, figures: tuple[int, ...]) -> None:
    lines = exported(trace, "collapsed", value=value).read_text(encoding="utf-8").splitlines()
    load = 'main (app.py:1);lo:ad "<é> (app.py:7)'
    stacks = (load, "main (app.py:1);/lib/ld.so+0x0;c0ffee+0x1234", "unknown")
    expected = [f"{stack} {figure}" for stack, figure in zip(stacks, figures, strict=True) if figure]
    assert lines == sorted(expected)


def test_csv_has_a_line_for_each_event(trace: Path) -> None:
    with exported(trace, "csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    events = events_of(trace)
    assert len(rows) == len(events)
    for number, (row, event) in enumerate(zip(rows, events, strict=True)):
        operation = event.operation
        assert (row["event"], row["operation"]) == (str(number), operation.name.lower())
        assert (row["refused"], row["thread"]) == (str(int(event.refused)), str(event.thread))
        assert float(row["seconds"]) == event.time / 1e9
        assert row["size"] == (str(event.size) if HAS_SIZE[operation] else "")
        assert row["number"] == (str(event.number) if HAS_NUMBER[operation] else "")
        gave = HAS_ADDRESS[operation] and not event.refused
        assert row["address"] == (hex(event.address) if gave else "")
        assert row["old"] == (hex(event.old) if HAS_POINTER[operation] else "")
        assert row["block"] == (str(event.block) if event.block >= 0 else "")
        assert row["freed"] == (str(event.freed) if event.freed >= 0 else "")
    assert rows[2]["stack"] == f"{NAME} (app.py:7) < main (app.py:1)"
    assert {row["size"] for row in rows if row["operation"] == "realloc"} == {str(WORD)}


def test_a_database_can_be_asked(trace: Path) -> None:
    path = exported(trace, "sqlite")
    assert [name for name in path.parent.iterdir() if "sqlite" in name.name] == [path]
    with sqlite3.connect(path) as database:
        ask = database.execute
        assert ask("PRAGMA integrity_check").fetchall() == [("ok",)]
        counts = Counter(event.operation.name.lower() for event in events_of(trace))
        assert dict(ask("SELECT operation, count(*) FROM events GROUP BY 1").fetchall()) == counts
        live = """
            SELECT function, file, line, count(*), sum(size) FROM blocks
            JOIN stacks USING (stack) JOIN frames USING (frame)
            WHERE depth = 0 AND ended_call IS NULL GROUP BY 1
        """
        assert ask(live).fetchall() == [(NAME, "app.py", 7, 10, 1000)]
        ended = "SELECT DISTINCT ended_call - begun_call, ended_by_thread, thread, operation FROM blocks"
        assert ask(f"{ended} WHERE ended_call > 0").fetchall() == [(1, 0, 1, "calloc")]
        assert ask("SELECT * FROM threads").fetchall() == [(0, None, 41, 23), (1, "worker", None, 10)]
        native = "SELECT module, offset FROM frames WHERE module IS NOT NULL ORDER BY 2 DESC"
        assert ask(native).fetchall() == [("c0ffee", 0x1234), ("/lib/ld.so", 0)]
        assert ask("SELECT value FROM about WHERE name = 'program'").fetchall() == [("python app.py",)]
        assert ask("SELECT size FROM events WHERE refused").fetchall() == [(2**63 - 1,)]


def test_a_database_takes_the_place_of_a_file_only(trace: Path, tmp_path: Path) -> None:
    exported(trace, "sqlite")
    path = exported(trace, "sqlite")
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM blocks").fetchall() == [(21,)]
    with TraceReader(trace) as reader, pytest.raises(TraceError, match="a file of its own"):
        export(reader, "sqlite", Path("/dev/null"), Request())


def test_parquet_has_a_row_for_each_event(trace: Path) -> None:
    table = pyarrow.parquet.read_table(exported(trace, "parquet"))
    events = events_of(trace)
    rows = table.to_pylist()
    assert [row["event"] for row in rows] == list(range(len(events)))
    assert [row["operation"] for row in rows] == [event.operation.name.lower() for event in events]
    assert [row["size"] for row in rows] == [
        event.size if HAS_SIZE[event.operation] else None for event in events
    ]
    assert [row["freed"] for row in rows] == [event.freed if event.freed >= 0 else None for event in events]
    assert [row["refused"] for row in rows] == [event.refused for event in events]
    assert rows[2]["stack"] == f"{NAME} (app.py:7) < main (app.py:1)"
    assert table.schema.metadata[b"program"] == b"python app.py"
    assert table.schema.metadata[b"page_bytes"] == b"4096"
    assert str(table.schema.field("size").type) == "uint64"


PHASES = {"M": {"args"}, "C": {"args"}, "i": {"s", "args"}, "X": {"dur", "args"}}
"""Of the trace event format: each kind of event that is written, and what it has besides the common fields."""


def test_a_timeline_has_the_documented_fields(trace: Path) -> None:
    content = json.loads(exported(trace, "perfetto").read_text())
    assert content["displayTimeUnit"] in ("ns", "ms")
    by_phase = defaultdict(list)
    for event in content["traceEvents"]:
        assert event.keys() == {"ph", "name", "ts", "pid", "tid", *PHASES[event["ph"]]}
        assert (event["pid"], type(event["tid"])) == (77, int)
        assert event["ts"] >= 0
        by_phase[event["ph"]].append(event)
    names = {(event["name"], event["tid"]): event["args"]["name"] for event in by_phase["M"]}
    assert names == {
        ("process_name", 1): "python app.py",
        ("thread_name", 1): "41",
        ("thread_name", 2): "worker",
    }
    counter = [(event["ts"], event["args"]["bytes"]) for event in by_phase["C"]]
    assert counter[:3] == [(0, 100), (0, 160), (0.01, 100)]
    assert max(size for _, size in counter) == 1060
    (purge,) = by_phase["i"]
    assert (purge["name"], purge["ts"], purge["s"]) == ("purge", 9800, "p")
    assert purge["args"] == {"bytes": 4096, "address": "0x9000"}
    assert {event["tid"]: (event["ts"], event["dur"]) for event in by_phase["X"]} == {
        1: (0, 9800),
        2: (0, 9000),
    }


def test_a_counter_keeps_the_peak_of_many_calls_and_without_times_calls_are_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "long.snug"
    with TraceWriter(path, Header(Flags.ADDRESSES)) as writer:
        for number in range(15_000):
            size = 5_000 if number == 7_001 else 10
            writer.add(Operation.MALLOC, size=size, address=16)
            writer.add(Operation.FREE, old=16)
    content = json.loads(exported(path, "perfetto").read_text())
    counter = [event for event in content["traceEvents"] if event["ph"] == "C"]
    assert len(counter) == 10_000
    highest = max(counter, key=lambda event: int(event["args"]["bytes"]))
    assert (highest["ts"], highest["args"]["bytes"]) == (14_003, 5_000)
    assert content["metadata"]["times"] == "calls"


@pytest.mark.parametrize("form", PROFILES)
def test_a_profile_of_a_trace_without_stacks_is_refused_and_nothing_is_written(
    tmp_path: Path, form: str
) -> None:
    trace = write(tmp_path / "app.snug", [], Flags.ADDRESSES)
    with pytest.raises(TraceError, match=r"app\.snug: has no stacks, which profiles need"):
        exported(trace, form)
    assert not trace.with_suffix(f".{form}").exists()


@pytest.mark.parametrize("form", [form for form in FORMS if form not in PROFILES])
@for_all(events=traces)
def test_any_trace_can_be_exported(
    tmp_path_factory: pytest.TempPathFactory, form: str, events: list[Arguments]
) -> None:
    trace = write(tmp_path_factory.getbasetemp() / "any.snug", events)
    path = exported(trace, form)
    if form == "csv":
        with path.open(encoding="utf-8", newline="") as file:
            sizes = [row["size"] for row in csv.DictReader(file)]
        assert sizes == [str(event["size"]) if "size" in event else "" for event in events]
    elif form == "parquet":
        sizes = pyarrow.parquet.read_table(path).column("size").to_pylist()
        assert sizes == [event.get("size") for event in events]
    elif form == "sqlite":
        with sqlite3.connect(path) as database:
            sizes = [size for (size,) in database.execute("SELECT size FROM events ORDER BY event")]
        assert sizes == [min(event["size"], 2**63 - 1) if "size" in event else None for event in events]
    else:
        phases = Counter(event["ph"] for event in json.loads(path.read_text())["traceEvents"])
        assert phases["X"] == len({event["thread"] for event in events})
        assert phases["C"] == sum(event["operation"] <= Operation.FREE for event in events)


names = ["plain", NAME, "\udcff", "", "a" * 300]


@for_all(events=traces)
def test_the_values_of_a_profile_add_up_whatever_the_names_are(
    tmp_path_factory: pytest.TempPathFactory, events: list[Arguments]
) -> None:
    trace = tmp_path_factory.getbasetemp() / "named.snug"
    with TraceWriter(trace) as writer:
        for name in names:
            writer.stack([SourceFrame(name, 3, name), NativeFrame(name, WORD)])
        for event in events:
            writer.add(**event)
    with TraceReader(trace) as reader:
        sizes = [event.size for event in reader.events() if event.block >= 0]
    samples = pprof_samples(parse_pprof(exported(trace, "pprof")))
    assert sum(values[0] for values in samples.values()) == len(sizes)
    if sum(sizes) < 2**63:
        assert sum(values[VALUES.index("alloc_space")] for values in samples.values()) == sum(sizes)
    jsonschema.validate(json.loads(exported(trace, "speedscope").read_text()), SPEEDSCOPE)
    assert all(" " in line for line in exported(trace, "collapsed").read_text(encoding="utf-8").splitlines())
