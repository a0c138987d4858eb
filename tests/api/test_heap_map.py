"""The picture of the heap, in plain characters and in colour."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

import snugmalloc
from snugmalloc import heap_map
from snugmalloc.engine import Simulation

BASE = 0x5555_0000_0000
HEADER = 32
FREE, LIVE, MAPPED = 0, 1, 2


def side_by_side(*blocks: tuple[int, int], start: int = BASE) -> list[tuple[int, int, int]]:
    """Heap blocks of (size, status) from `start` on, without gaps."""
    placed = []
    for size, status in blocks:
        placed.append((start + HEADER, size, status))
        start += HEADER + size
    return placed


def plain(blocks: list[tuple[int, int, int]], width: int = 16, cell: int = 8) -> list[str]:
    return str(heap_map(blocks, width=width, cell=cell, color=False)).splitlines()


def test_fine_cells_show_headers_and_payloads() -> None:
    assert plain(side_by_side((16, LIVE), (24, FREE))) == [
        "heap: 104 bytes, 2 blocks",
        "+0x00  ====##====...",
        "# live 16  . free 24  = header 64  8 bytes a cell",
    ]


def test_rows_that_repeat_are_counted_and_addresses_go_on() -> None:
    assert plain(side_by_side((96, LIVE), (1008, FREE), (8, LIVE)))[1:6] == [
        "+0x000  ====############",
        "+0x080  ====............",
        "+0x100  ................",
        "     :  6 rows the same",
        "+0x480  ..====#",
    ]


def test_a_coarse_cell_says_when_it_is_partly_free() -> None:
    blocks = side_by_side((224, LIVE), (100, LIVE), (92, FREE), (32, LIVE), (160, FREE), (224, FREE))
    assert plain(blocks, cell=256)[1:] == [
        "+0x000  #x-.",
        "# live 356  . free 476  x- both  256 bytes a cell",
    ]


def test_headers_count_as_their_blocks_when_cells_are_coarse() -> None:
    live_and_free = side_by_side((32, LIVE), (32, FREE))
    assert plain(live_and_free, cell=64)[1] == "+0x00  #."


def test_mappings_are_drawn_together_behind_the_heap() -> None:
    blocks = [*side_by_side((32, LIVE)), (0x7F00_0000_0020, 480, MAPPED), (0x7E00_0000_0020, 480, MAPPED)]
    assert plain(blocks, cell=64) == [
        "heap: 64 bytes, 1 block",
        "+0x000  #",
        "mappings: 1,024 bytes, 2 blocks",
        "+0x000  @@@@@@@@@@@@@@@@",
        "# live 32  @ mapped 960  64 bytes a cell",
    ]


def test_a_small_gap_is_drawn_as_foreign_memory() -> None:
    blocks = [*side_by_side((32, LIVE)), *side_by_side((32, LIVE), start=BASE + 64 + 128)]
    assert plain(blocks, cell=64)[1:] == ["+0x000  #~~#", "# live 64  ~ foreign 128  64 bytes a cell"]


def test_a_gap_longer_than_a_row_begins_a_new_piece() -> None:
    blocks = [*side_by_side((32, LIVE)), *side_by_side((32, FREE), start=BASE + 10_000)]
    assert plain(blocks, cell=64)[2:4] == ["heap, 9,936 bytes further on: 64 bytes, 1 block", "+0x00  ."]


def test_the_order_of_the_blocks_does_not_matter() -> None:
    blocks = side_by_side((16, LIVE), (24, FREE), (8, LIVE))
    assert plain(blocks[::-1]) == plain(blocks)


def test_nothing_is_a_picture_too() -> None:
    assert str(heap_map([], color=False)) == "the heap is empty"


@pytest.mark.parametrize("power", [4, 12, 20, 30, 40, 60])
def test_a_heap_of_any_size_fits_on_a_screen(power: int) -> None:
    blocks = side_by_side((2**power, LIVE), (2**power, FREE), (2**power, LIVE))
    picture = heap_map(blocks, width=64, color=False)
    assert len(str(picture).splitlines()) <= 36
    assert picture.cell & (picture.cell - 1) == 0


def test_a_long_free_block_is_drawn_once() -> None:
    drawn = plain(side_by_side((16, LIVE), (1 << 50, FREE)))
    assert drawn[2:4] == [
        "+0x0000000000080  ................",
        "               :  8,796,093,022,206 rows the same",
    ]


def test_every_byte_is_in_some_cell() -> None:
    blocks = side_by_side(*((8 * (7 * i % 50 + 1), i % 3 % 2) for i in range(500)))
    total = sum(HEADER + size for _, size, _ in blocks)
    for cell in (1, 7, 8, 100, 4096):
        rows = list(heap_map(blocks, width=1 << 20, cell=cell, color=False).draw(color=False).splitlines())[1]
        assert len(rows.split("  ")[1]) == -(-total // cell)


@pytest.mark.parametrize(("width", "cell"), [(0, 8), (64, 0), (-1, 8), (64, -8)])
def test_a_width_or_cell_below_one_is_refused(width: int, cell: int) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        heap_map([], width=width, cell=cell)


def test_colour_shows_the_same_characters_on_backgrounds_by_status() -> None:
    blocks = side_by_side((16, LIVE), (24, FREE))
    colored = heap_map(blocks, width=16, cell=8, color=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", str(colored)) == "\n".join(plain(blocks))
    backgrounds = re.findall(r"48;5;(\d+)m(\S+)", str(colored).splitlines()[1].replace("\x1b[", " \x1b["))
    assert [run for _, run in backgrounds] == ["====", "##", "====", "..."]
    assert backgrounds[0][0] == backgrounds[2][0]
    assert len({number for number, _ in backgrounds}) == 3


def on_a_terminal(**environment: str) -> str:
    """What `print(heap_map())` writes on a terminal."""
    reader, terminal = pty.openpty()
    code = "import snugmalloc as s; s.os_malloc(10); print(s.heap_map())"
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run(
        [sys.executable, "-c", code],
        stdout=terminal,
        env={**inherited, "TERM": "xterm", **environment},
        check=True,
    )
    os.close(terminal)
    return os.read(reader, 1 << 16).decode()


def test_colour_is_used_on_a_terminal_only() -> None:
    assert "\x1b[" in on_a_terminal()
    assert "\x1b[" not in str(heap_map(side_by_side((8, LIVE))))


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_can_be_switched_off(environment: dict[str, str]) -> None:
    assert "\x1b[" not in on_a_terminal(**environment)


def test_the_interpreted_engines_heap_is_drawn_as_well() -> None:
    simulation = Simulation()
    simulation.os_malloc(100)
    assert str(heap_map(simulation.blocks(), width=64, cell=8, color=False)).splitlines()[:2] == [
        "heap: 131,072 bytes, 2 blocks",
        "+0x00000  ====#############====...........................................",
    ]


def test_without_blocks_it_draws_this_processs_heap() -> None:
    address = snugmalloc.os_malloc(300_000)
    assert "@ mapped" in str(heap_map(color=False))
    snugmalloc.os_free(address)
