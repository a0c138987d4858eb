"""What changed between two traces: in all, by size, by line, by stack, by thread."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from snugmalloc.trace import Flags, Header, NativeFrame, Operation, SourceFrame, TraceReader, TraceWriter
from snugmalloc.trace.difference import Change, Difference, Figures, Side, difference_of
from snugmalloc.trace.origins import function_of
from snugmalloc.trace.summary import summarize

from .sample import Arguments, for_all, traces, write

ADDRESSES = Header(Flags.ADDRESSES | Flags.STACKS, page_size=4096)


def side_of(path: Path) -> Side:
    with TraceReader(path) as reader:
        return Side(summarize(reader, naming=function_of), reader.tables)


def difference(before: Path, after: Path) -> Difference:
    return difference_of(side_of(before), side_of(after))


def write_version(
    path: Path, first_line: int, kept: Iterable[int], loads: int = 5, header: Header = ADDRESSES
) -> Path:
    """A program that loads some blocks, and keeps others of these sizes; its lines begin at `first_line`."""
    file = f"/srv/{path.stem}/app.py"
    main = SourceFrame(file, first_line, "main")
    with TraceWriter(path, header) as writer:
        load = writer.stack([SourceFrame(file, first_line + 7, "load"), main])
        keep = writer.stack([SourceFrame(file, first_line + 9, "keep"), main])
        writer.add(Operation.THREAD_NAME, thread=1, number=writer.text("keeper"))
        for _ in range(loads):
            writer.add(Operation.MALLOC, size=1000, address=0x1000, stack=load)
            writer.add(Operation.FREE, old=0x1000)
        for number, size in enumerate(kept):
            writer.add(Operation.MALLOC, thread=1, size=size, address=0x2000 + 0x1000 * number, stack=keep)
    return path


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return write_version(tmp_path / "before.snug", 10, [500])


def test_lines_of_other_numbers_and_folders_are_the_same_and_only_what_changed_is_told(
    tmp_path: Path, before: Path
) -> None:
    found = difference(before, write_version(tmp_path / "after.snug", 20, [500, 500]))
    one, two = Figures(1, 500, 0, 500, 3596), Figures(2, 1000, 0, 1000, 7192)
    assert found.have_stacks
    change = Change(one, two)
    assert found.by_origin == [("keep (app.py)", change)]
    assert found.by_stack == [(("keep (app.py)", "main (app.py)"), change)]
    assert found.by_thread == [("keeper", change)]
    assert found.by_size == [(512, change)]
    assert found.total == Change(Figures(6, 5500, 1000, 500, 3596), Figures(7, 6000, 1000, 1000, 7192))


def test_what_one_trace_has_alone_is_0_in_the_other_and_the_memory_in_use_comes_first(
    tmp_path: Path, before: Path
) -> None:
    after = write_version(tmp_path / "after.snug", 10, [], loads=500)
    found = difference(before, after)
    assert [(name, change.before.blocks, change.after.blocks) for name, change in found.by_origin] == [
        ("keep (app.py)", 1, 0),
        ("load (app.py)", 5, 500),
    ]
    assert [bound for bound, _ in found.by_size] == [512, 1024]


def test_without_stacks_sizes_are_compared_and_with_stacks_in_one_trace_nothing_is(
    tmp_path: Path, before: Path
) -> None:
    plain = [
        write_version(tmp_path / f"{kept}.snug", 1, [500] * kept, header=Header(Flags.ADDRESSES))
        for kept in (1, 3)
    ]
    found = difference(*plain)
    assert not found.have_stacks
    assert {name: change.step.blocks for name, change in found.by_origin} == {"500 bytes": 2, "1,000 bytes": 0}
    assert found.by_stack == []
    assert difference(before, plain[0]).by_origin == []


@for_all(events=traces, others=traces)
def test_the_parts_add_up_to_the_whole(
    tmp_path_factory: pytest.TempPathFactory, events: list[Arguments], others: list[Arguments]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    before, after = write(folder / "before.snug", events), write(folder / "after.snug", others)
    sides = side_of(before), side_of(after)
    found = difference_of(*sides)
    parts = [dict(found.by_thread).values(), dict(found.by_size).values()]
    if sides[0].summary.has_stacks is sides[1].summary.has_stacks:
        parts.append(dict(found.by_origin).values())
    for changes in parts:
        for figure in Figures._fields:
            step = sum(getattr(change.step, figure) for change in changes)
            assert step == pytest.approx(getattr(found.total.step, figure), abs=1e-6)
    itself = difference(before, before)
    assert (itself.by_size, itself.by_origin, itself.by_thread) == ([], [], [])
    assert not any(itself.total.step)


def test_the_same_place_has_the_same_name_in_two_builds() -> None:
    assert function_of(SourceFrame("/srv/one/app.py", 7, "load")) == "load (app.py)"
    assert function_of(SourceFrame("", 0, "load")) == "load"
    assert function_of(NativeFrame("/usr/lib/libm.so.6", 0x7F00)) == "libm.so.6"
    assert function_of(NativeFrame("c0ffee", 0x7F00)) == "c0ffee+0x7f00"
