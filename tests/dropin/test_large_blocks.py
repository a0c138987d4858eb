"""Large blocks: sparse, very many, not wholly in a forked child; and what calloc reads."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from snugmalloc.engine.dropin.pages import Leaf

from ..targets import Run
from .conftest import Compile, numbers


@pytest.mark.parametrize("way", ["calloc", "realloc", "aligned", "kept", "thread"])
@pytest.mark.parametrize("size", [2, 20, 40, 1024])
def test_a_large_block_is_not_written_to_be_zero(
    size: int, way: str, compile_program: Compile, run: Run, library: Path
) -> None:
    told = numbers(run(compile_program("sparse.c"), str(size), way, on=library))
    assert told["resident"] <= 1536


@pytest.mark.parametrize(
    ("size", "count", "small"), [(20, 4000, 3_000_000), (1, 80_000, 1000), (33, 4000, 1000), (1024, 3000, 1000)]
)
def test_addresses_do_not_run_out(
    size: int, count: int, small: int, compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("many_addresses.c"), str(size), str(count), str(small), on=library)


@pytest.mark.parametrize(
    ("size", "larger", "count", "most"),
    [(140, 300, 150_000, 100), (20_000, 25_000, 4000, 100), (33_000, 40_000, 2000, 1200)],
)
def test_holes_cost_few_mappings(
    size: int, larger: int, count: int, most: int, compile_program: Compile, run: Run, library: Path
) -> None:
    told = numbers(run(compile_program("few_mappings.c"), str(size), str(larger), str(count), on=library))
    assert told["mappings"] <= most


@pytest.mark.parametrize("size", [140, 1000])
def test_a_process_that_has_all_its_mappings_is_served(
    size: int, compile_program: Compile, run: Run, library: Path
) -> None:
    program, words = compile_program("few_mappings.c"), [str(size), str(2 * size), "14000", "60000"]
    told = numbers(run(program, *words, on=library, SNUG_MMAP_THRESHOLD="128K"))
    assert told["mappings"] > 60000


@pytest.mark.parametrize("way", ["malloc", "calloc", "aligned", "realloc"])
@pytest.mark.parametrize("size", [128, 200, 1024, 20480, 40960])
def test_a_forked_child_does_without_the_pages_that_it_was_not_given(
    size: int, way: str, compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("kept_from_children.c"), str(size), way, on=library)


@pytest.mark.parametrize(
    "settings",
    [{}, {"SNUG_HARDEN": "1"}, {"SNUG_STATS": "1"}, {"SNUG_THREAD_CACHE": "0"}, {"SNUG_PURGE_DELAY": "0"}],
    ids=lambda settings: "".join(settings) or "plain",
)
@pytest.mark.parametrize("mode", [[], ["threads"]], ids=["one-thread", "fresh-threads"])
def test_cleared_blocks_are_zero_up_to_their_usable_size(
    mode: list[str], settings: dict[str, str], compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("cleared.c"), *mode, on=library, **settings)


@pytest.mark.parametrize("limit", ["2M", "4M", "20M"])
def test_so_are_blocks_that_come_from_elsewhere(
    limit: str, compile_program: Compile, run: Run, library: Path
) -> None:
    run(compile_program("cleared.c"), "refused", on=library, SNUG_LIMIT=limit)


def test_the_page_map_is_kept_from_huge_pages(run: Run, library: Path) -> None:
    program = "print(open('/proc/self/smaps').read())"
    smaps = run(sys.executable, "-c", program, on=library, PYTHONMALLOC="malloc").stdout
    size = Leaf.SIZE >> 10
    leaf = re.search(rf"^Size: +{size} kB$(?s:.*?)^VmFlags: (.*)$", smaps, re.MULTILINE)
    assert leaf and "nh" in leaf[1].split()
    root = re.search(r"^Size: +40\d\d kB$(?s:.*?)^VmFlags: (.*)$", smaps, re.MULTILINE)
    assert root and "nh" in root[1].split()
