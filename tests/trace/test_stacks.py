"""Stacks in recordings: Python programs whose lines are known give exactly these lines."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest

import snugmalloc
from snugmalloc.trace import Operation, SourceFrame, TraceReader
from snugmalloc.trace.symbols import name_frames
from snugmalloc.trace.tables import Frame, NativeFrame

LIBRARY = snugmalloc.get_library("snugmalloc")


def interpreters() -> dict[str, str]:
    """By version: the one that runs the tests, and newer ones that are installed."""
    found = {"this": sys.executable}
    for version in ("3.12", "3.13", "3.14", "3.15"):
        name = f"python{version}"
        places = [shutil.which(name), *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}"))]
        for place in filter(None, places):
            if subprocess.run([place, "-c", ""], capture_output=True).returncode == 0:
                found[version] = place
    return found


INTERPRETERS = interpreters()
MARK = re.compile(r"# (\w+)\s*$")
SIZE = 70_001
"""What the lines that are looked for ask for. Beside them only reading modules does by chance."""

Stack = tuple[Frame, ...]


class Script:
    """A program whose lines are named by the comment at their end."""

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        path.write_text(dedent(source))
        lines = enumerate(path.read_text().splitlines(), 1)
        self.lines = {match[1]: number for number, line in lines if (match := MARK.search(line))}

    def frame(self, function: str, mark: str) -> SourceFrame:
        """The frame of a line."""
        return SourceFrame(str(self.path), self.lines[mark], function)


def run(
    program: list[str], trace: Path, stacks: str = "python", **options: str
) -> subprocess.CompletedProcess[str]:
    """Record a program that ends well, and without a word."""
    environment = {
        **os.environ,
        "LD_PRELOAD": LIBRARY,
        "PYTHONMALLOC": "malloc",
        "SNUG_RECORD": str(trace),
        "SNUG_RECORD_STACKS": stacks,
        **options,
    }
    outcome = subprocess.run(program, env=environment, capture_output=True, text=True)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    return outcome


def stacks_of(trace: Path, sizes: range = range(SIZE, SIZE + 1000)) -> Counter[Stack]:
    """The stacks of all blocks of about this size, and how many each gave."""
    found: Counter[Stack] = Counter()
    with TraceReader(trace) as reader:
        assert reader.verify() == []
        for event in reader.events():
            if event.operation is not Operation.FREE and event.block >= 0 and event.size in sizes:
                assert event.stack < len(reader.tables.stacks)
                stack = reader.tables.frames_of(event.stack)
                if not any("<frozen" in str(frame) for frame in stack):
                    found[stack] += 1
    return found


@pytest.fixture(params=INTERPRETERS)
def python(request: pytest.FixtureRequest) -> str:
    """An interpreter."""
    return INTERPRETERS[request.param]


def minor_version(python: str) -> int:
    told = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info.minor)"], capture_output=True, text=True, check=True
    )
    return int(told.stdout)


def recorded(python: str, tmp_path: Path, source: str, **options: str) -> tuple[Script, Counter[Stack]]:
    """The stacks of a program in Python."""
    script = Script(tmp_path / "program.py", source)
    trace = tmp_path / "of.snug"
    run([python, str(script.path)], trace, **options)
    return script, stacks_of(trace)


def test_each_line_of_a_call_is_known(python: str, tmp_path: Path) -> None:
    script, found = recorded(
        python,
        tmp_path,
        f"""
        def inner():
            return bytes({SIZE})  # inner

        def outer():
            kept = [
                inner()  # outer
                for _ in range(3)
            ]  # comprehension
            other = bytearray({SIZE})  # other
            return kept, other

        class Class:
            def method(self):
                return (lambda: bytes({SIZE}))()  # lambda

        outer()  # first
        Class().method()  # second
        kept = bytes({SIZE})  # module
        """,
    )
    module = "<module>"
    assert found == {
        (
            script.frame("inner", "inner"),
            *comprehension(script, minor_version(python)),
            script.frame(module, "first"),
        ): 3,
        (script.frame("outer", "other"), script.frame(module, "first")): 1,
        (
            script.frame("Class.method.<locals>.<lambda>", "lambda"),
            script.frame("Class.method", "lambda"),
            script.frame(module, "second"),
        ): 1,
        (script.frame(module, "module"),): 1,
    }


def comprehension(script: Script, minor: int) -> tuple[SourceFrame, ...]:
    """The frames of the comprehension: from 3.12 on it has none of its own."""
    inlined = (script.frame("outer", "outer"),)
    if minor >= 12:
        return inlined
    begin = SourceFrame(str(script.path), script.lines["outer"] - 1, "outer")
    return (script.frame("outer.<locals>.<listcomp>", "outer"), begin)


def test_generators_and_recursion(python: str, tmp_path: Path) -> None:
    script, found = recorded(
        python,
        tmp_path,
        f"""
        def generator():
            for _ in range(2):
                yield bytes({SIZE})  # yield

        def delegating():
            yield from generator()  # from

        def recursive(depth):
            if depth:
                return recursive(depth - 1)  # deeper
            return bytes({SIZE})  # bottom

        async def coroutine():
            return bytes({SIZE})  # coroutine

        async def waiting():
            return await coroutine()  # await

        for made in delegating():  # loop
            pass
        recursive(40)  # recursion
        try:
            waiting().send(None)  # send
        except StopIteration:
            pass
        """,
    )
    module = "<module>"
    assert found == {
        (
            script.frame("generator", "yield"),
            script.frame("delegating", "from"),
            script.frame(module, "loop"),
        ): 2,
        (
            script.frame("recursive", "bottom"),
            *[script.frame("recursive", "deeper")] * 40,
            script.frame(module, "recursion"),
        ): 1,
        (
            script.frame("coroutine", "coroutine"),
            script.frame("waiting", "await"),
            script.frame(module, "send"),
        ): 1,
    }


@pytest.mark.parametrize("depth", [900, 5000])
def test_deep_stacks_are_cut_and_not_lost(python: str, tmp_path: Path, depth: int) -> None:
    script, found = recorded(
        python,
        tmp_path,
        f"""
        import sys
        sys.setrecursionlimit({depth + 1000})

        def recursive(depth):
            kept = bytes({SIZE} + depth % 10)  # kept
            return recursive(depth - 1) if depth else kept  # deeper

        recursive({depth})  # first
        """,
    )
    assert sum(found.values()) == depth + 1
    longest = max(found, key=len)
    assert len(longest) == 512
    assert len(found) <= 511 + 256  # those that are cut are of 256 lengths
    cut = [stack for stack in found if stack[-1] != script.frame("<module>", "first")]
    assert min(map(len, cut)) >= 256 and max(map(len, cut)) <= 511
    assert all(stack[0] == script.frame("recursive", "kept") for stack in found)
    assert all(set(stack[1:]) == {script.frame("recursive", "deeper")} for stack in cut)
    assert (script.frame("recursive", "kept"), script.frame("<module>", "first")) in found


def test_each_thread_has_its_own_stacks(python: str, tmp_path: Path) -> None:
    script, found = recorded(
        python,
        tmp_path,
        f"""
        import threading

        def one(count):
            for _ in range(count):
                bytes({SIZE})  # one

        def two(count):
            for _ in range(count):
                three()  # two

        def three():
            bytearray({SIZE})  # three

        threads = [threading.Thread(target=work, args=(200,)) for work in (one, two) * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """,
    )
    one = (script.frame("one", "one"),)
    two = (script.frame("three", "three"), script.frame("two", "two"))
    tops: Counter[Stack] = Counter()
    for stack, count in found.items():
        own = one if stack[:1] == one else two
        assert stack[: len(own)] == own
        callers = [frame.function for frame in stack[len(own) :] if isinstance(frame, SourceFrame)]
        assert callers == ["Thread.run", "Thread._bootstrap_inner", "Thread._bootstrap"]
        tops[own] += count
    assert tops == {one: 800, two: 800}


def test_code_that_comes_and_goes_has_its_own_lines(python: str, tmp_path: Path) -> None:
    """Different code at the same address, in threads: each block has the name and the line of the code then."""
    script, found = recorded(
        python,
        tmp_path,
        f"""
        import random, threading

        def work(thread):
            chance = random.Random(thread)
            for step in range(400):
                line = chance.randrange(1, 60)
                size = {SIZE} + line
                source = "\\n" * (line - 1) + f"bytes({{size}})"
                if step % 2:
                    exec(compile(source, f"file{{step % 7}}-{{line}}", "exec"))
                else:
                    body = "def f():" + "\\n" * line + f"  return bytes({{size}} + 100)"
                    space = {{}}
                    exec(compile(body, f"function-{{line}}", "exec"), space)
                    space["f"]()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """,
    )
    assert sum(found.values()) == 1200
    with TraceReader(tmp_path / "of.snug") as reader:
        for event in reader.events():
            if event.block >= 0 and SIZE < event.size < SIZE + 200:
                frame = reader.tables.frames_of(event.stack)[0]
                assert isinstance(frame, SourceFrame)
                is_function = event.size > SIZE + 100
                line = event.size - SIZE - 33 - (100 if is_function else 0)
                if event.operation is Operation.MALLOC and frame.file.startswith(("file", "function")):
                    assert frame.file.rpartition("-")[2] == str(line)
                    assert frame.line == line + is_function
    assert script.lines == {}


def test_a_large_module_and_another_at_its_place(python: str, tmp_path: Path) -> None:
    """Tables of lines are read on from where the last place was, if they are still the same."""
    script, found = recorded(
        python,
        tmp_path,
        f"""
        for module in range(3):
            lines = [f"bytes({SIZE} + {{number % 500}})" + "\\n" * module for number in range(1500)]
            exec(compile("\\n".join(lines), f"module-{{module}}", "exec"))
            del lines
        """,
    )
    own = [frame for (frame, *_) in found.elements() if isinstance(frame, SourceFrame)]
    own = [frame for frame in own if frame.file != str(script.path)]  # where it is compiled
    assert len(own) == 4500
    expected = {
        (f"module-{module}", 1 + number * (module + 1)) for module in range(3) for number in range(1500)
    }
    assert {(frame.file, frame.line) for frame in own} == expected
    assert script.lines == {}


def test_functions_that_look_alike_share_a_table_of_lines(python: str, tmp_path: Path) -> None:
    functions = "\n".join(f"def f{number}():\n    return bytes({SIZE})\n" for number in range(20))
    calls = "\n".join(f"f{number}()" for number in range(20))
    script, found = recorded(python, tmp_path, f"{functions}\n{calls}\n")
    own = {stack[0] for stack in found}
    assert own == {SourceFrame(str(script.path), 2 + 3 * number, f"f{number}") for number in range(20)}


def test_names_in_any_letters(python: str, tmp_path: Path) -> None:
    folder = tmp_path / "größe 大小 \U0001f40d"
    folder.mkdir()
    script, found = recorded(
        python,
        folder,
        f"""
        def größe():
            return bytes({SIZE})  # latin

        def 大小():
            return bytes({SIZE})  # wide

        größe()  # first
        大小()  # second
        """,
    )
    module = "<module>"
    assert found == {
        (script.frame("größe", "latin"), script.frame(module, "first")): 1,
        (script.frame("大小", "wide"), script.frame(module, "second")): 1,
    }


@pytest.mark.parametrize("arguments", [["-X", "dev"], ["-X", "importtime"], ["-S", "-E"], ["-O"]])
def test_other_ways_to_start(python: str, tmp_path: Path, arguments: list[str]) -> None:
    """With debug hooks, and where the interpreter ignores PYTHONMALLOC: nothing ends, and no line is wrong."""
    script = Script(tmp_path / "program.py", f"def f():\n    return bytes({SIZE})  # f\nf()  # module\n")
    trace = tmp_path / "of.snug"
    outcome = subprocess.run(
        [python, *arguments, str(script.path)],
        env={
            **os.environ,
            "LD_PRELOAD": LIBRARY,
            "PYTHONMALLOC": "malloc_debug" if "dev" in arguments else "malloc",
            "SNUG_RECORD": str(trace),
            "SNUG_RECORD_STACKS": "python",
        },
        capture_output=True,
        text=True,
    )
    assert outcome.returncode == 0
    found = stacks_of(trace)
    if "-E" in arguments:
        assert "PYTHONMALLOC=malloc" in outcome.stderr
    else:
        assert list(found) == [(script.frame("f", "f"), script.frame("<module>", "module"))]


def test_a_forked_child_that_is_followed_defines_its_own(python: str, tmp_path: Path) -> None:
    script = Script(
        tmp_path / "program.py",
        f"""
        import os

        def parent():
            return bytes({SIZE})  # parent

        def child():
            return bytes({SIZE})  # child

        parent()  # before
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            parent()  # after
            print(pid)
        else:
            child()  # within
        """,
    )
    outcome = run([python, str(script.path)], tmp_path / "of.%p.snug", SNUG_RECORD_FOLLOW="1")
    pid = int(outcome.stdout)
    child = tmp_path / f"of.{pid}.snug"
    (own,) = set(tmp_path.glob("of.*.snug")) - {child}
    module = "<module>"
    assert stacks_of(child) == {(script.frame("child", "child"), script.frame(module, "within")): 1}
    assert stacks_of(own) == {
        (script.frame("parent", "parent"), script.frame(module, "before")): 1,
        (script.frame("parent", "parent"), script.frame(module, "after")): 1,
    }


def test_while_the_interpreter_starts_and_ends(python: str, tmp_path: Path) -> None:
    script, found = recorded(
        python,
        tmp_path,
        f"""
        import atexit

        class Late:
            def __del__(self):
                bytes({SIZE})  # late

        def at_end():
            bytes({SIZE})  # end

        atexit.register(at_end)
        kept = Late()
        kept.itself = kept
        """,
    )
    assert found[(script.frame("at_end", "end"),)] == 1
    assert {stack[:1] for stack in found} == {
        (script.frame("at_end", "end"),),
        (script.frame("Late.__del__", "late"),),
    }


def library_of(python: str, home: Path) -> str:
    """The interpreter's shared library. `home` has its own modules alone: others would keep it loaded."""
    source = """
import sys, sysconfig
names = ["LIBDIR", "INSTSONAME", "Py_ENABLE_SHARED"]
print(*map(sysconfig.get_config_var, names), sysconfig.get_path("stdlib"), sep="\\n")
"""
    told = subprocess.run([python, "-c", source], capture_output=True, text=True, check=True)
    folder, name, is_shared, modules = told.stdout.splitlines()
    if is_shared != "1":
        pytest.skip("this interpreter has no shared library")
    own = home / "lib" / Path(modules).name
    own.mkdir(parents=True)
    for module in Path(modules).iterdir():
        if module.name not in ("site-packages", "dist-packages"):
            (own / module.name).symlink_to(module)
    return str(Path(folder) / name)


@pytest.mark.parametrize("keep", [[], ["keep"]], ids=["unloaded", "kept"])
def test_an_interpreter_that_ends_and_is_unloaded(python: str, tmp_path: Path, keep: list[str]) -> None:
    """Other threads allocate before, meanwhile and after."""
    library = library_of(python, tmp_path / "home")
    program = build(tmp_path, [], "embedding.c")
    source = f"def f():\n    return bytes({SIZE})\nf()\n"
    trace = tmp_path / "of.snug"
    run([str(program), library, source, "3", *keep], trace, PYTHONHOME=str(tmp_path / "home"))
    assert stacks_of(trace) == {(SourceFrame("<string>", 2, "f"), SourceFrame("<string>", 3, "<module>")): 3}


def test_interpreters_within_one_process(python: str, tmp_path: Path) -> None:
    """From 3.12 on each with a lock of its own: in several threads at a time."""
    script, found = recorded(
        python,
        tmp_path,
        f"""
        import sys, threading
        if sys.version_info >= (3, 13):
            import _interpreters as interpreters
        else:
            import _xxsubinterpreters as interpreters

        SOURCE = "def f():\\n    return bytes({SIZE})\\nfor _ in range(100): f()\\n"

        def work():
            made = interpreters.create()
            interpreters.{{"exec" if sys.version_info >= (3, 13) else "run_string"}}(made, SOURCE)
            interpreters.destroy(made)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """.replace(
            '{"exec" if sys.version_info >= (3, 13) else "run_string"}',
            "exec" if minor_version(python) >= 13 else "run_string",
        ),
    )
    assert sum(found.values()) == 400
    assert {stack[:1] for stack in found} <= {(), (SourceFrame("<string>", 2, "f"),)}
    if minor_version(python) >= 12:
        assert () not in found
    assert script.lines == {}


def test_signal_handlers(python: str, tmp_path: Path) -> None:
    script, found = recorded(
        python,
        tmp_path,
        f"""
        import signal

        def handler(number, frame):
            bytes({SIZE})  # handler

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        kept = []
        while len(kept) < 300_000:
            kept.append(object())
        signal.setitimer(signal.ITIMER_REAL, 0)
        """,
    )
    assert found
    assert all(stack[0] == script.frame("handler", "handler") for stack in found)


def test_a_killed_program_leaves_no_stack_that_is_not_defined(python: str, tmp_path: Path) -> None:
    script = Script(
        tmp_path / "program.py",
        """
        import os, signal
        kept = []
        for number in range(30_000):
            exec(compile("kept.append(object())", f"file-{number}", "exec"))
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    trace = tmp_path / "of.snug"
    outcome = subprocess.run(
        [python, str(script.path)],
        env={
            **os.environ,
            "LD_PRELOAD": LIBRARY,
            "PYTHONMALLOC": "malloc",
            "SNUG_RECORD": str(trace),
            "SNUG_RECORD_STACKS": "python",
        },
    )
    assert outcome.returncode == -signal.SIGKILL
    with TraceReader(trace) as reader:
        assert not reader.has_index
        stacks = [event.stack for event in reader.events()]
        assert max(stacks) < len(reader.tables.stacks)
        assert sum(map(bool, stacks)) > 10_000
        assert len([file for file in reader.tables.texts if file.startswith("file-")]) > 10_000


def test_without_memory_for_the_table_there_are_no_stacks_and_a_line(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (20 << 20, 20 << 20))

    trace = tmp_path / "of.snug"
    outcome = subprocess.run(
        [sys.executable, "-c", f"bytes({SIZE})"],
        env={
            **os.environ,
            "LD_PRELOAD": LIBRARY,
            "PYTHONMALLOC": "malloc",
            "SNUG_RECORD": str(trace),
            "SNUG_RECORD_STACKS": "python",
        },
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    assert outcome.returncode == 0
    assert len(outcome.stderr.splitlines()) == 1 and "no memory for stacks" in outcome.stderr
    assert stacks_of(trace) == {(): 1}


def test_without_stacks_there_are_none(python: str, tmp_path: Path) -> None:
    _, found = recorded(python, tmp_path, f"bytes({SIZE})", stacks="none")
    assert found == {(): 1}


@pytest.mark.parametrize("value", ["", "pythons", "python,", "native;python"])
def test_a_word_that_is_no_kind_of_stacks_is_ignored_with_a_line(
    python: str, tmp_path: Path, value: str
) -> None:
    outcome = subprocess.run(
        [python, "-c", "pass"],
        env={"LD_PRELOAD": LIBRARY, "SNUG_RECORD": str(tmp_path / "of.snug"), "SNUG_RECORD_STACKS": value},
        capture_output=True,
        text=True,
    )
    assert outcome.returncode == 0
    assert "SNUG_RECORD_STACKS" in outcome.stderr and len(outcome.stderr.splitlines()) == 1


# ---- Machine code ----


WITH_FRAMES = ["-fno-omit-frame-pointer", "-fno-optimize-sibling-calls"]
CHAIN = ["innermost", "middle", "outer", "only_here"]


@pytest.fixture(scope="module", params=[[], ["-no-pie"]], ids=["pie", "no-pie"])
def chain(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    return build(tmp_path_factory.mktemp("chain"), [*WITH_FRAMES, *request.param])


def build(folder: Path, flags: list[str], name: str = "chain.c") -> Path:
    built = folder / "chain"
    source = Path(__file__).with_name("c") / name
    compiler = "g++" if name.endswith(".cpp") else "gcc"
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-parentheses"]
    subprocess.run(
        [compiler, "-O2", "-pthread", *warnings, "-fno-builtin", *flags, str(source), "-o", str(built)],
        check=True,
    )
    return built


def functions_of(trace: Path) -> list[list[str]]:
    """The names of the functions of each block of the size that is looked for."""
    found = []
    with TraceReader(trace) as reader:
        assert reader.verify() == []
        name_frames(reader.tables, reader.about)
        for event in reader.events():
            if event.block >= 0 and SIZE <= event.size <= SIZE + 1000:
                frames = reader.tables.frames_of(event.stack)
                assert all(isinstance(frame, NativeFrame) for frame in frames)
                found.append([frame.function for frame in frames if isinstance(frame, NativeFrame)])
    return found


@pytest.mark.parametrize("mode", ["calls", "thread"])
def test_functions_by_frame_pointers(chain: Path, tmp_path: Path, mode: str) -> None:
    run([str(chain), mode], tmp_path / "of.snug", stacks="native")
    found = functions_of(tmp_path / "of.snug")
    assert len(found) == 5
    for names in found:
        assert names[:5] == [*CHAIN, "thread" if mode == "thread" else "main"]


def test_operators_and_relatives_of_malloc(tmp_path: Path) -> None:
    program = build(tmp_path, WITH_FRAMES, "chain.cpp")
    run([str(program)], tmp_path / "of.snug", stacks="native")
    found = functions_of(tmp_path / "of.snug")
    assert len(found) == 7
    for way, names in enumerate(found):
        assert names[:5] == [*CHAIN, "main"], way


def test_a_signal_handler_on_a_stack_of_its_own(chain: Path, tmp_path: Path) -> None:
    run([str(chain), "signal"], tmp_path / "of.snug", stacks="native")
    assert [names[:1] for names in functions_of(tmp_path / "of.snug")] == [["handle"], ["handle"]]


@pytest.mark.parametrize("flags", [WITH_FRAMES, ["-fomit-frame-pointer"]], ids=["with", "without"])
@pytest.mark.parametrize("mode", ["calls", "thread", "signal", "garbage"])
def test_without_frame_pointers_nothing_ends(tmp_path: Path, flags: list[str], mode: str) -> None:
    program = build(tmp_path, flags)
    run([str(program), mode], tmp_path / "of.snug", stacks="python,native")
    found = functions_of(tmp_path / "of.snug")
    assert found and all(len(names) < 64 for names in found)
    if mode != "garbage":  # the innermost is known all the same
        assert {names[0] for names in found} <= {"innermost", "handle"}


def test_functions_on_a_stack_that_the_program_made(chain: Path, tmp_path: Path) -> None:
    run([str(chain), "coroutine"], tmp_path / "of.snug", stacks="native")
    (names,) = functions_of(tmp_path / "of.snug")
    assert names[:5] == [*CHAIN, "coroutine"]


@pytest.mark.parametrize("mode", ["switching", "switching thread"])
@pytest.mark.parametrize("flags", [WITH_FRAMES, ["-fomit-frame-pointer"]], ids=["with", "without"])
def test_stacks_that_the_program_unmaps_are_not_read(tmp_path: Path, flags: list[str], mode: str) -> None:
    """Frame pointers lead to what was a stack, or cannot be read, beside the one that the thread is on."""
    program = build(tmp_path, flags)
    run([str(program), mode], tmp_path / "of.snug", stacks="python,native")
    names = [names[0] for names in functions_of(tmp_path / "of.snug")]
    assert len(names) > 500  # and the innermost function is known all the same
    assert set(names) <= {"unmap_another", "switch_stacks", "with_frame_pointer", "unmap_in_handler"}


def test_forks_beside_a_thread_in_the_list_of_modules(tmp_path: Path) -> None:
    """A child would wait for ever for the lock of the list, which the other thread had when it was forked."""
    program = build(tmp_path, ["-rdynamic"], "fork_beside_loader.c")
    run([str(program)], tmp_path / "of.%p.snug", stacks="native", SNUG_RECORD_FOLLOW="1")
    assert len(list(tmp_path.glob("of.*.snug"))) > 4


def test_both_kinds_of_stacks(python: str, tmp_path: Path) -> None:
    """What is beyond the interpreter stands behind the line."""
    script, found = recorded(
        python, tmp_path, f"def f():\n    return bytes({SIZE})  # f\nf()  # module\n", stacks="native,python"
    )
    assert [stack[-2:] for stack in found] == [(script.frame("f", "f"), script.frame("<module>", "module"))]
