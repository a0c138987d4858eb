"""The simulation on profiles whose answer is known, the format of recordings, and the build that records."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.catalogue import ALL, FOR_SIMULATION
from benchmarks.harness import Figure
from benchmarks.recordings import (
    HEADER,
    INSIDE,
    MAGIC,
    PUSH,
    WAITED,
    Profile,
    Recording,
    RecordingError,
    Role,
    Section,
    Step,
    build_library,
    profile_of,
    read_recording,
    record,
    role_of,
    settled,
    with_one_lock,
)
from benchmarks.scaling import CPU, WALL
from benchmarks.simulation import (
    ALONE,
    CORES,
    HEAPS,
    MAX_HEAPS,
    MOVING,
    ONE_LOCK,
    OTHER_COSTS,
    PATTERNS,
    VISITS,
    Costs,
    Events,
    Model,
    Outcome,
    Simulation,
    page_of,
    simulate,
    throughput,
    with_threads,
)

from ..builds import build_library as build_variant

FREE = Costs(line_ns=0, data_lines=0)
PROCESS, HOME, OTHER = 0x1000, 0x2000, 0x3000
SOURCES = Path(__file__).parent / "c"


def steady(*steps: Step) -> Profile:
    """A profile that is the same steps again and again."""
    return Profile((steps * 64,))


def times(profile: Profile, cores: int, model: Model = HEAPS, costs: Costs = FREE) -> float:
    """A short simulation."""
    return throughput(profile, cores, model, costs, steps=100)


def time_of(simulation: Simulation, events: Events) -> float:
    """How long something takes, while the cores do what they do."""
    start: float = simulation.environment.now
    simulation.environment.run(simulation.environment.process(events))
    return simulation.environment.now - start


# ---- The simulation ----


@pytest.mark.parametrize("cores", [1, 2, 16])
@pytest.mark.parametrize("model", [HEAPS, MOVING, ONE_LOCK])
def test_cores_that_need_no_lock_of_others_are_as_many_times_as_fast(cores: int, model: Model) -> None:
    pushes_alone = steady(Step(100, Role.OTHER, 0, is_push=True))
    assert times(pushes_alone, cores, HEAPS) == pytest.approx(cores)
    homes = steady(Step(70, Role.HOME, 30))
    assert times(homes, cores, HEAPS, Costs()) == pytest.approx(cores)


@pytest.mark.parametrize("cores", [1, 2, 16])
def test_a_lock_that_is_always_held_lets_one_core_work(cores: int) -> None:
    assert times(steady(Step(0, Role.COMMON, 50)), cores) == pytest.approx(1)


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 2), (8, 2)])
def test_a_lock_that_is_held_half_of_the_time_lets_two_work(cores: int, expected: float) -> None:
    assert times(steady(Step(50, Role.COMMON, 50)), cores) == pytest.approx(expected, rel=0.02)


def test_lines_of_another_core_come_while_the_lock_is_held() -> None:
    """50 ns of work in each 50 + 3 * 100 ns of the lock."""
    profile = steady(Step(0, Role.COMMON, 50))
    assert times(profile, 4, costs=Costs(100, 2)) == pytest.approx(50 / 350, rel=0.02)
    assert times(profile, 1, costs=Costs(100, 2)) == pytest.approx(1)


def test_a_push_waits_for_one_line_and_its_heap_for_what_was_pushed() -> None:
    simulation = Simulation(steady(Step(1e9, Role.HOME, 10)), 2, HEAPS, Costs(100, 4), 1)
    first, second = (core.home for core in simulation.cores)
    first.lock_line = first.data_lines = 0
    assert time_of(simulation, simulation.push(1, first)) == 100
    assert time_of(simulation, simulation.push(1, first)) == 0
    assert (first.pushed, second.pushed) == (2, 0)
    assert time_of(simulation, simulation.enter(0, first)) == 300  # the lock's, and two that were pushed
    assert time_of(simulation, simulation.enter(1, first)) == 500  # the lock's and the data
    assert time_of(simulation, simulation.enter(1, first)) == 0


def test_more_cores_than_there_may_be_heaps_share_them() -> None:
    simulation = Simulation(steady(Step(10, Role.HOME, 10)), 2 * MAX_HEAPS, HEAPS, FREE, 1)
    assert len(simulation.heaps) == MAX_HEAPS
    assert {heap.cores for heap in simulation.heaps} == {2}


def test_cores_that_wait_move_until_each_has_a_heap_of_its_own() -> None:
    crowded = steady(Step(1000, Role.HOME, 4000))
    simulation = Simulation(crowded, 8, MOVING, FREE, 1)
    assert len(simulation.heaps) == 1
    simulation.settle(VISITS * 50)
    assert [heap.cores for heap in simulation.heaps] == [1] * 8
    assert times(crowded, 8, MOVING) == pytest.approx(8)


def test_cores_that_seldom_wait_stay_together() -> None:
    uneven = Profile(tuple((Step(1000 + 13 * number, Role.HOME, 1),) for number in range(61)))
    simulation = Simulation(uneven, 2, MOVING, FREE, 1)
    simulation.settle(VISITS * 1000)
    assert [heap.cores for heap in simulation.heaps] == [2]


def test_what_is_pushed_to_a_home_that_is_shared_takes_its_lock() -> None:
    push, section = Step(0, Role.OTHER, 0, is_push=True), Step(1e9, Role.HOME, 50)
    simulation = Simulation(steady(section, push), 2, MOVING, FREE, 1)
    assert time_of(simulation, simulation.take_step(0, push)) == 50


def test_the_same_seed_gives_the_same_figure() -> None:
    profile = Profile(tuple((Step(at, Role.OTHER, 30),) * 64 for at in (10, 50, 90)))
    assert times(profile, 4, costs=Costs()) == times(profile, 4, costs=Costs())
    other = throughput(profile, 4, HEAPS, Costs(), steps=100, seed=2)
    assert other != times(profile, 4, costs=Costs())


def test_multiples_are_those_of_what_one_core_does_alone() -> None:
    """On heaps of their own an operation takes twice the time."""
    step = Step(100, Role.HOME, 0)
    figures = simulate(Profile(((step,),), 1, 10), Profile(((step,),), 1, 20), HEAPS, FREE, 50)
    assert {cores: round(figure.median, 2) for cores, figure in figures.items()} == {
        cores: 1 if cores == 1 else pytest.approx(cores / 2, rel=0.02) for cores in CORES
    }


# ---- Recordings ----


def part(thread: int, *sections: tuple[int, int, int, int], is_main: int = 0) -> bytes:
    """A part of a file."""
    words = [word for section in sections for word in section]
    return HEADER.pack(MAGIC, thread, is_main, PROCESS, len(sections)) + struct.pack(f"{len(words)}Q", *words)


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """One of two threads and the main one, in which recording costs 10 and 5."""
    file = tmp_path / "1.locks"
    file.write_bytes(
        part(0, (0, 0, 10, 5), (0, 0, 10, 5), (0, 0, 9000, 5))
        + part(7, (PROCESS, 0, 100, 50), (PROCESS, PROCESS, 100, 50))
        + part(8, (OTHER | PUSH, PROCESS, 25, 0))
        + part(7, (HOME | WAITED, HOME, 60, 4), (OTHER | INSIDE, HOME, 0, 25), (PROCESS, HOME, 5, 15))
        + part(1, (PROCESS, PROCESS, 1, 1), is_main=1)
    )
    return read_recording(file)


def test_a_file_has_the_sections_of_each_thread_in_order(recording: Recording) -> None:
    assert recording.process_lock == PROCESS
    assert [len(sections) for sections in recording.threads.values()] == [5, 1]
    assert recording.threads[7].last(3)[0] == Section(HOME, WAITED, HOME, 60, 4)
    assert recording.threads[8].last(9) == [Section(OTHER, PUSH, PROCESS, 25, 0)]
    assert (len(recording.main), len(recording.empty)) == (1, 3)


def test_a_profile_has_roles_and_not_what_recording_cost(recording: Recording) -> None:
    """What thread 7 did in the process's heap before it moved to its own is left out."""
    profile = profile_of(recording, operations=10)
    assert (profile.away_cost, profile.hold_cost) == (10, 5)
    assert profile.sequences == (
        (
            Step(90, Role.COMMON, 45),
            Step(50, Role.HOME, 0),
            Step(0, Role.OTHER, 20),
            Step(0, Role.COMMON, 10),
        ),
        (Step(20, Role.OTHER, 0, is_push=True),),
    )


def test_an_operation_is_all_that_the_threads_worked(recording: Recording) -> None:
    recorded = 2 * 150 + 64 + 25 + 20 + 25
    assert profile_of(recording, operations=10).operation_ns == pytest.approx((recorded - 6 * 15) / 10)


def test_a_thread_that_never_moved_is_left_whole() -> None:
    sections = [Section(OTHER, PUSH, PROCESS, 1, 0), Section(PROCESS, 0, 0, 1, 1)]
    assert settled(sections, PROCESS) == sections


@pytest.mark.parametrize(
    ("lock", "flags", "role"),
    [
        (PROCESS, 0, Role.COMMON),
        (PROCESS, PUSH, Role.OTHER),
        (HOME, 0, Role.HOME),
        (OTHER, 0, Role.OTHER),
        (OTHER, PUSH, Role.OTHER),
    ],
)
def test_the_role_of_a_lock_is_whose_it_is(lock: int, flags: int, role: Role) -> None:
    assert role_of(Section(lock, flags, HOME, 0, 0), PROCESS) == role


@pytest.mark.parametrize("wrong", [b"SNUG", b"?" * HEADER.size, part(1, (1, 1, 1, 1))[:-1]])
def test_a_file_that_is_no_recording_is_told_in_one_line(wrong: bytes, tmp_path: Path) -> None:
    file = tmp_path / "1.locks"
    file.write_bytes(part(2, (1, 1, 1, 1)) + wrong)
    with pytest.raises(RecordingError, match=f"{file}: .* record it again") as told:
        read_recording(file)
    assert "\n" not in told.value.message


def test_with_one_lock_pushes_are_sections_of_mean_length() -> None:
    profile = Profile(
        ((Step(1, Role.HOME, 20), Step(1, Role.OTHER, 40), Step(8, Role.OTHER, 0, is_push=True)),),
        operation_ns=70,
        unrecorded_ns=140,
    )
    one = with_one_lock(profile)
    assert one.sequences == ((Step(1, Role.COMMON, 20), Step(1, Role.COMMON, 40), Step(8, Role.COMMON, 30)),)
    assert (one.operation_ns, one.unrecorded_ns) == pytest.approx((100, 200))


# ---- The build that records ----


@pytest.fixture(scope="session")
def recorder() -> Path:
    """The drop-in malloc that records its locks."""
    return build_variant("snugmalloc", "recording")


@pytest.fixture(scope="session")
def sections_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program whose sections are known."""
    program = tmp_path_factory.mktemp("program") / "sections"
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-fno-builtin", "-pthread"]
    subprocess.run(["gcc", *flags, SOURCES / "sections.c", "-o", program], check=True)
    return program


def blocks_of(recording: Recording) -> list[list[Section]]:
    """Of each thread the sections and pushes, the last thread to begin last."""
    return [sections.last(len(sections)) for _, sections in sorted(recording.threads.items())]


def test_each_long_block_is_a_section_of_the_heap_that_serves(recorder: Path, sections_program: Path) -> None:
    """300 are allocated and freed. Now and then a thread looks after its heap, and whether it should move."""
    recording, _ = record(recorder, [sections_program, "own"])
    (thread,) = blocks_of(recording)
    assert 600 + 600 // VISITS <= len(thread) <= 700
    assert {section.lock for section in thread} == {recording.process_lock}
    assert not any(section.flags & (PUSH | WAITED) for section in thread)


def test_a_thread_that_is_told_to_move_has_a_home_of_its_own(recorder: Path, sections_program: Path) -> None:
    recording, _ = record(recorder, [sections_program, "own"], heaps=4)
    (thread,) = blocks_of(recording)
    homes = [section.home for section in thread if section.home]
    assert homes[0] == recording.process_lock
    assert homes[-1] != recording.process_lock
    profile = profile_of(recording, 300)
    roles = [step.role for sequence in profile.sequences for step in sequence]
    assert 600 - 70 <= roles.count(Role.HOME) <= 600
    assert 0 < roles.count(Role.COMMON) < 50


def test_what_another_thread_frees_is_pushed_to_the_heap_that_it_is_of(
    recorder: Path, sections_program: Path
) -> None:
    """The second thread frees 5 blocks of the first, which lives on: so much may lie in a stack."""
    recording, _ = record(recorder, [sections_program, "others"], heaps=4)
    first, second = blocks_of(recording)
    home = [section.home for section in first if section.home][-1]
    assert home != recording.process_lock
    pushes = [section for section in second if section.flags & PUSH]
    assert [push.lock for push in pushes] == [home] * 5
    assert not any(section.flags & PUSH for section in first)


def test_a_program_of_one_thread_takes_no_lock(recorder: Path, sections_program: Path) -> None:
    recording, _ = record(recorder, [sections_program, "alone"])
    assert (len(recording.main), recording.threads) == (0, {})
    assert len(recording.empty) == 1000


def test_a_library_that_does_not_record_is_told_in_one_line(sections_program: Path) -> None:
    with pytest.raises(RecordingError, match="recorded nothing"):
        record(Path("libc.so.6"), [sections_program, "own"])


def test_nothing_of_the_recording_is_in_a_normal_build() -> None:
    assert b"RECORD_LOCKS" not in build_variant("snugmalloc", "release").read_bytes()
    assert b"RECORD_LOCKS" in build_variant("snugmalloc", "recording").read_bytes()


# ---- The command ----


def test_every_pattern_is_a_workload_and_has_the_threads_that_it_should(tmp_path: Path) -> None:
    known = {workload.name: workload for workload in (*ALL, *FOR_SIMULATION)}
    words = {
        pattern.name: with_threads(pattern, known[pattern.name], 2).command(7)[-2:] for pattern in PATTERNS
    }
    assert words.pop("handover") == ["7", "1"]
    assert set(map(tuple, words.values())) == {("7", "2")}


def test_a_tree_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"no CMakeLists\.txt there"):
        build_library(tmp_path, "never", recording=True)
    ended = CliRunner().invoke(main, ["simulate", "--before", str(tmp_path / "none")])
    assert ended.exit_code == 2
    assert "does not exist" in ended.output


def test_the_page_says_what_is_simulated_and_what_is_assumed() -> None:
    profile = Profile(((Step(1, Role.HOME, 1), Step(1, Role.OTHER, 0, is_push=True)),), 3, 3)
    figures = {cores: Figure(cores / 2, 0, cores) for cores in CORES}
    both = {WALL: Figure(4, 4, 4), CPU: Figure(3, 3, 3)}
    outcome = Outcome(
        profiles=dict.fromkeys((ALONE, HEAPS.name, ONE_LOCK.name), profile),
        simulated=dict.fromkeys((HEAPS.name, MOVING.name, ONE_LOCK.name), figures),
        measured={HEAPS.name: {1: both, 2: both}},
        many={HEAPS.name: [1.0] * len(OTHER_COSTS)},
    )
    page = page_of({PATTERNS[0].name: outcome}, Costs(123, 7), 5, 0.5, has_before=False)
    assert "Simulated, not measured" in page
    assert "| churn | 0.5 | 1.0 | 2.0 | 4.0 | 8.0 | 16.0 | 32.0 | 64.0 |" in page
    assert "123 ns pass" in page and "7 lines of data" in page
    assert "stands for" in page and "stands for" not in page_of(
        {PATTERNS[0].name: outcome}, Costs(), 5, 0.5, has_before=True
    )
