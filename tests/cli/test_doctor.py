"""`snug doctor`: reads a process and the machine, and advises."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from snugmalloc.launch.allocators import find_allocators
from snugmalloc.launch.diagnosis import Finding, NoSuchProcess, bytes_text, diagnose, read_process

from .programs import make_python_binary, snug

MAPS = """\
00400000-00500000 r-xp 00000000 08:01 1 /opt/bin/{program}
7f0000000000-7f0000100000 r-xp 00000000 08:01 2 {library}
7f0000200000-7f0000300000 rw-p 00000000 00:00 0 [stack]
"""
GIB = 1 << 30


def fake_machine(root: Path, **changes: str) -> Path:
    """A /proc with process 7, and a /sys."""
    texts = {
        "proc/7/maps": MAPS.format(
            program=changes.pop("program", "server"), library=changes.pop("library", "/lib/libc.so.6")
        ),
        "proc/7/environ": "HOME=/\0",
        "proc/7/status": "Name:\tserver\nVmHWM:\t 2048 kB\nVmRSS:\t 1024 kB\nVmSwap:\t 0 kB\nTHP_enabled:\t1\n",
        "proc/7/limits": "Limit  Soft Limit  Hard Limit  Units\nMax data size  unlimited  unlimited  bytes\n",
        "proc/7/cgroup": "0::/a/b\n",
        "proc/sys/vm/overcommit_memory": "0\n",
        "proc/sys/vm/max_map_count": "65530\n",
        "proc/meminfo": "MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\nSwapTotal: 0 kB\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        **changes,
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "proc/7/exe").symlink_to("/opt/bin/server")
    return root


def findings(root: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in diagnose(read_process(7, root), root)}


def test_a_plain_process_needs_little_advice(tmp_path: Path) -> None:
    found = findings(fake_machine(tmp_path))
    assert found["process"].value == "7: /opt/bin/server"
    assert found["memory"].value == "1.0 MiB resident, peak 2.0 MiB"
    assert found["allocator"].value.startswith("the system's malloc, /lib/libc.so.6")
    assert found["preloaded"].value == "nothing"
    assert found["machine"].value == "2.0 GiB available of 4.0 GiB, swap none"
    assert [name for name, finding in found.items() if finding.advice] == ["allocator"]


@pytest.mark.parametrize(
    ("name", "text", "finding", "value", "advice"),
    [
        (
            "proc/7/environ",
            "MALLOC_ARENA_MAX=2",
            "setting",
            "MALLOC_ARENA_MAX=2",
            "only glibc's malloc reads it",
        ),
        ("proc/7/environ", "SNUG_LIMIT=1G", "setting", "SNUG_LIMIT=1G", None),
        (
            "proc/7/environ",
            "LD_PRELOAD=/x/libother.so",
            "preloaded",
            "/x/libother.so: NOT loaded",
            "could not load it",
        ),
        (
            "sys/kernel/mm/transparent_hugepage/enabled",
            "[always] never",
            "huge pages",
            "always",
            "echo madvise",
        ),
        ("sys/fs/cgroup/a/memory.max", str(GIB), "cgroup limit", "1.0 GiB", "SNUG_LIMIT=921M"),
        ("sys/fs/cgroup/a/b/memory.max", "max", "cgroup limit", "none", None),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", str(2 * GIB), "cgroup limit", "2.0 GiB", "SNUG_LIMIT"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", str((1 << 63) - 4096), "cgroup limit", "none", None),
        ("proc/sys/vm/overcommit_memory", "2", "overcommit", "2, strict", "vm.overcommit_ratio"),
        ("proc/sys/vm/max_map_count", "5", "mappings", "3 of at most 5", None),
        ("proc/sys/vm/max_map_count", "4", "mappings", "3 of at most 4", "sysctl vm.max_map_count=8"),
        ("proc/7/environ", "SNUG_LIMT=1G", "setting", "SNUG_LIMT=1G", "no such option, ignored: is SNUG_LIMIT"),
        ("proc/7/environ", "SNUG_LIMIT=x", "setting", "SNUG_LIMIT=x", "not a value of this option"),
        (
            "proc/7/limits",
            "Limit  Soft  Hard\nMax address space  1073741824  unlimited  bytes\n",
            "limits",
            "address space (ulimit -v) 1.0 GiB",
            "raise it if need be: prlimit --pid 7 --as=2147483648",
        ),
    ],
)
def test_each_thing_that_matters_is_found_and_advised_on(
    name: str, text: str, finding: str, value: str, advice: str | None, tmp_path: Path
) -> None:
    found = findings(fake_machine(tmp_path, **{name: text}))[finding]
    assert found.value == value
    assert (advice is None) == (found.advice is None)
    assert advice is None or (found.advice is not None and advice in found.advice)


@pytest.mark.parametrize(
    ("vector", "is_secure"),
    [((), False), ((6,), False), ((6, 4096, 23), False), ((6, 23, 23, 0), False), ((6, 4096, 23, 1, 0), True)],
)
def test_settings_of_a_process_with_more_rights_than_its_caller_are_not_in_force(
    vector: tuple[int, ...], is_secure: bool, tmp_path: Path
) -> None:
    texts = {
        "proc/7/environ": "SNUG_LIMIT=1G\0SNUG_LIMT=1G\0LD_PRELOAD=/x/libother.so",
        "proc/7/auxv": struct.pack(f"<{len(vector)}Q", *vector).decode(),
    }
    root = fake_machine(tmp_path, **texts)
    found = list(diagnose(read_process(7, root), root))
    settings = [finding for finding in found if finding.name == "setting"]
    ending = ": not in force" if is_secure else ""
    assert [one.value for one in settings] == [f"SNUG_LIMIT=1G{ending}", f"SNUG_LIMT=1G{ending}"]
    told = [one.advice or "" for one in found if one.name in ("setting", "preloaded")]
    assert ["set-user-id" in advice for advice in told] == [is_secure] * 3


STATUS = "Name:\tserver\nVmRSS:\t1024 kB\nVmHWM:\t2048 kB\nVmSize:\t{taken} kB\nVmData:\t{taken} kB\n"
LIMITS = "Limit  Soft  Hard\n{name}  1073741824  unlimited  bytes\n"


@pytest.mark.parametrize(("share", "near"), [(0.5, False), (0.7, False), (0.8, True), (1.0, True)])
@pytest.mark.parametrize(
    ("finding", "limit_file", "limit", "use_file", "action"),
    [
        ("limits", "proc/7/limits", LIMITS.format(name="Max address space"), "", "prlimit --pid 7 --as="),
        ("limits", "proc/7/limits", LIMITS.format(name="Max data size"), "", "prlimit --pid 7 --data="),
        ("cgroup limit", "sys/fs/cgroup/a/memory.max", str(GIB), "sys/fs/cgroup/a/memory.current", "raise it"),
        (
            "cgroup throttle",
            "sys/fs/cgroup/a/b/memory.high",
            str(GIB),
            "sys/fs/cgroup/a/b/memory.current",
            "raise memory.high",
        ),
        (
            "cgroup limit",
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            str(GIB),
            "sys/fs/cgroup/memory/a/memory.usage_in_bytes",
            "raise it",
        ),
    ],
)
def test_a_bound_that_is_near_is_warned_of(
    share: float,
    near: bool,
    finding: str,
    limit_file: str,
    limit: str,
    use_file: str,
    action: str,
    tmp_path: Path,
) -> None:
    taken = int(GIB * share)
    used = {use_file: str(taken)} if use_file else {"proc/7/status": STATUS.format(taken=taken // 1024)}
    found = findings(fake_machine(tmp_path, **{limit_file: limit}, **used))[finding]
    assert f"1.0 GiB, {bytes_text(taken)} of it taken" in found.value
    assert (found.advice or "").startswith("near: ") == near
    assert not near or action in (found.advice or "")


def test_file_cache_that_can_go_is_not_taken(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/a"
    texts = {
        "memory.max": str(GIB),
        "memory.current": str(GIB),
        "memory.stat": f"anon 1\ninactive_file {GIB // 2}\n",
    }
    root = fake_machine(tmp_path, **{f"{group}/{name}": text for name, text in texts.items()})
    assert findings(root)["cgroup limit"].value == "1.0 GiB, 512.0 MiB of it taken"


def test_strict_overcommit_that_is_nearly_used_up_is_warned_of(tmp_path: Path) -> None:
    memory = "MemTotal: 4 kB\nMemAvailable: 2 kB\nCommitLimit: 1048576 kB\nCommitted_AS: 1048000 kB\n"
    root = fake_machine(tmp_path, **{"proc/sys/vm/overcommit_memory": "2\n", "proc/meminfo": memory})
    assert (findings(root)["overcommit"].advice or "").startswith("near: ")


@pytest.mark.parametrize(
    ("comm", "arguments", "shown"),
    [
        ("server", "server", "7: /opt/bin/server"),
        ("redis-server", "redis-server *:6379", "7: redis-server (/opt/bin/server)"),
        ("app.py", "python3\0app.py", "7: app.py (/opt/bin/server)"),
        ("a-very-long-nam", "/x/a-very-long-name\0-v", "7: a-very-long-name (/opt/bin/server)"),
        ("a-very-long-nam", "changed", "7: a-very-long-nam (/opt/bin/server)"),
    ],
)
def test_a_process_is_shown_by_the_name_it_was_started_by(
    comm: str, arguments: str, shown: str, tmp_path: Path
) -> None:
    texts = {"proc/7/status": f"Name:\t{comm}\n", "proc/7/cmdline": f"{arguments}\0"}
    assert findings(fake_machine(tmp_path, **texts))["process"].value == shown


def test_redis_is_not_taken_for_one_of_its_other_names(tmp_path: Path) -> None:
    command = ["redis-server", "--port", "0", "--unixsocket", f"{tmp_path}/socket", "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        ended = snug("doctor", str(process.pid), "--json")
        process.terminate()
    found = {finding["name"]: finding["value"] for finding in json.loads(ended.stdout)}
    assert found["process"].startswith(f"{process.pid}: redis-server")


@pytest.mark.parametrize(
    "file", ["/usr/lib/libpython3.14t.so.1.0", "/x/lib-dynload/math.cpython-313t-x86_64-linux-gnu.so"]
)
def test_a_free_threaded_python_is_known_by_what_it_has_loaded(file: str, tmp_path: Path) -> None:
    root = fake_machine(tmp_path, library=file, **{"proc/7/environ": "PYTHONMALLOC=malloc"})
    (root / "proc/7/exe").unlink()
    (root / "proc/7/exe").symlink_to("/usr/bin/python3")
    assert "own mimalloc" in findings(root)["Python's objects"].value


def test_a_free_threaded_python_is_known_by_its_program(tmp_path: Path) -> None:
    program = make_python_binary(tmp_path / "python3.14", is_free_threaded=True)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        ended = snug("doctor", str(process.pid), "--json")
        process.communicate()
    found = {finding["name"]: finding["value"] for finding in json.loads(ended.stdout)}
    assert "own mimalloc: a free-threaded build" in found["Python's objects"]


def test_a_process_without_a_program_is_told(tmp_path: Path) -> None:
    root = fake_machine(tmp_path)
    (root / "proc/7/exe").unlink()
    with pytest.raises(NoSuchProcess, match="process 7 has no memory: it is a kernel thread, or has ended"):
        read_process(7, root)


def test_a_preloaded_allocator_is_the_one_in_use(tmp_path: Path) -> None:
    library = "/usr/lib/libjemalloc.so.2"
    root = fake_machine(tmp_path, library=library, **{"proc/7/environ": f"LD_PRELOAD={library}"})
    assert findings(root)["allocator"].value == library


def test_snugmalloc_that_is_only_imported_is_a_second_heap(tmp_path: Path) -> None:
    root = fake_machine(tmp_path, library="/x/lib/libsnugmalloc.so")
    assert "second heap" in findings(root)["allocator"].value


def test_a_static_program_is_known(tmp_path: Path) -> None:
    assert "statically linked" in findings(fake_machine(tmp_path, library="[heap]"))["allocator"].value


def test_pythons_own_allocator_is_told(tmp_path: Path) -> None:
    root = fake_machine(tmp_path)
    (root / "proc/7/exe").unlink()
    (root / "proc/7/exe").symlink_to("/usr/bin/python3.12")
    assert "pymalloc" in findings(root)["Python's objects"].value
    (root / "proc/7/environ").write_text("PYTHONMALLOC=malloc")
    assert findings(root)["Python's objects"].value == "from malloc (PYTHONMALLOC=malloc)"


def test_a_process_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoSuchProcess, match="no process 8"):
        read_process(8, fake_machine(tmp_path))
    ended = snug("doctor", "4194304")
    assert (ended.returncode, ended.stderr) == (1, "snug: there is no process 4194304\n")


def test_without_a_process_it_looks_at_its_own_python() -> None:
    ended = snug("doctor", "--json")
    found = {finding["name"]: finding["value"] for finding in json.loads(ended.stdout)}
    assert str(Path(sys.executable).resolve()) in found["process"]
    assert found["page size"] == f"{os.sysconf('SC_PAGESIZE') / 1024:.1f} KiB"
    assert {"allocator", "preloaded", "huge pages", "cgroup limit", "limits", "overcommit"} <= set(found)


def test_a_running_process_and_its_allocator_are_seen() -> None:
    (peer,) = find_allocators(["jemalloc"])
    with subprocess.Popen(
        ["sh", "-c", "echo there; read line"],
        env={"LD_PRELOAD": str(peer.path), "PATH": os.defpath},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        ended = snug("doctor", str(process.pid), COLUMNS="120")
        process.communicate(b"\n")
    assert ended.returncode == 0
    assert "libjemalloc.so.2" in ended.stdout and "snug compare" in ended.stdout
