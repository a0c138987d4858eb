"""`snug compare`: every allocator in turn, a table, JSON, a plot; and what it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from snugmalloc.cli.files import check_writable
from snugmalloc.launch.allocators import AllocatorError, find_allocators, installed_names

from .programs import PYTHON, make_leak_checked, make_python, make_static, snug

FEW = "system,jemalloc"
METRICS = ("wall_s", "cpu_s", "peak_resident_bytes", "mean_resident_bytes", "final_resident_bytes")
# Frees all of 60 MB but one block in a hundred; fails on jemalloc if that is asked for.
CHURN = "a = [bytes(1000) for _ in range(60000)]; a = a[::100]"
FAIL_ON_JEMALLOC = "grep -q jemalloc /proc/self/maps && { echo broken >&2; exit 3; }; exit 0"


def compared(*arguments: str | Path) -> dict[str, Any]:
    ended = snug("compare", "--json", "-", *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


def test_the_json_has_its_documented_form() -> None:
    result = compared("-n", "3", "--allocators", FEW, "--", "true")
    assert (result["program"], result["runs"], result["baseline"]) == (["true"], 3, "system")
    system, peer = result["allocators"]
    assert (system["name"], peer["name"]) == ("system", "jemalloc")
    assert re.fullmatch(r"\d+\.\d+", system["version"]) and re.fullmatch(r"[\d.]+", peer["version"])
    assert Path(system["path"]).exists() and "libjemalloc" in peer["path"]
    for entry in (system, peer):
        assert set(entry) == {"name", "path", "version", *METRICS}
        for metric in METRICS:
            figure = entry[metric]
            assert set(figure) == {"median", "min", "max", "ratio_to_baseline", "ratio_to_system"}
            assert figure["min"] <= figure["median"] <= figure["max"]
            assert figure["ratio_to_system"] == pytest.approx(figure["median"] / system[metric]["median"])
            assert figure["ratio_to_baseline"] == figure["ratio_to_system"]


def test_every_peer_of_debian_is_found() -> None:
    assert {"system", "jemalloc", "mimalloc", "tcmalloc"} <= set(installed_names())
    versions = {allocator.name: allocator.version for allocator in find_allocators(installed_names())}
    assert all(version and version[0].isdigit() for version in versions.values()), versions


def test_any_library_can_be_given_by_name_and_path() -> None:
    (peer,) = find_allocators(["jemalloc"])
    result = compared("-n", "1", "--allocators", f"mine={peer.path}", "--", "true")
    assert [entry["name"] for entry in result["allocators"]] == ["system", "mine"]
    assert result["allocators"][1]["path"] == str(peer.path)


def test_the_baseline_of_a_python_program_is_stock_python() -> None:
    result = compared("-n", "1", "--allocators", "jemalloc", "--", PYTHON, "-c", CHURN)
    assert result["baseline"] == "pymalloc"
    assert [entry["name"] for entry in result["allocators"]] == ["pymalloc", "system", "jemalloc"]
    stock, system, _ = result["allocators"]
    assert stock["peak_resident_bytes"]["median"] > 60_000_000
    for entry in result["allocators"]:
        for metric in METRICS:
            figure = entry[metric]
            assert figure["ratio_to_baseline"] == pytest.approx(figure["median"] / stock[metric]["median"])
            assert figure["ratio_to_system"] == pytest.approx(figure["median"] / system[metric]["median"])


def test_a_python_program_runs_on_ours_without_and_with_its_own_allocator() -> None:
    result = compared("-n", "1", "--", PYTHON, "-c", "0")
    names = [entry["name"] for entry in result["allocators"]]
    assert names[:2] == ["pymalloc", "system"] and names[-2:] == ["snugmalloc", "snugmalloc-pymalloc"]
    alone, under = result["allocators"][-2:]
    assert under["path"] == alone["path"]


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (
            ["--allocators", "snugmalloc,snugmalloc-pymalloc"],
            "pymalloc pymalloc\nsystem malloc\nsnugmalloc malloc\nsnugmalloc-pymalloc pymalloc\n",
        ),
        (["--allocators", "snugmalloc", "--keep-pymalloc"], "system unset\nsnugmalloc unset\n"),
    ],
)
def test_pythonmalloc_is_as_the_table_says(arguments: list[str], setting: str, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = f"import os; open({str(seen)!r}, 'a').write(os.environ.get('PYTHONMALLOC', 'unset') + '\\n')"
    result = compared("-n", "1", *arguments, "--", PYTHON, "-c", program)
    names = [entry["name"] for entry in result["allocators"]]
    warm_up, *counted = seen.read_text().split()
    assert [f"{name} {value}" for name, value in zip(names, counted, strict=True)] == setting.splitlines()
    assert warm_up == counted[0]


def test_the_table_of_a_python_program_says_what_its_rows_are() -> None:
    ended = snug(
        "compare", "-n", "1", "--allocators", "snugmalloc-pymalloc", "--", PYTHON, "-c", "0", COLUMNS="140"
    )
    rows = [line.split("  ")[0].strip() for line in ended.stdout.splitlines()]
    assert [row for row in rows if row in ("stock Python", "system", "snugmalloc-pymalloc")] == [
        "stock Python",
        "system",
        "snugmalloc-pymalloc",
    ]
    assert re.search(r"stock Python +\d+\.\d{3} s \(1\.00\)", ended.stdout)
    assert "(the ratio to stock Python)" in ended.stdout
    assert "stock Python is pymalloc, its own allocator" in ended.stdout


def test_where_the_table_is_too_wide_ratios_stand_below() -> None:
    ended = snug("compare", "-n", "1", "--allocators", FEW, "--", "true", COLUMNS="80")
    assert re.search(r"^ system +\d+\.\d{3} s .* MiB *\n +\(1\.00\) +\(1\.00\)", ended.stdout, re.MULTILINE)


def test_the_table_is_for_people() -> None:
    ended = snug("compare", "-n", "2", "--allocators", FEW, "--", "true", COLUMNS="140")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.search(r"allocator +wall +processor +peak resident +mean resident +final resident", ended.stdout)
    assert re.search(r"system +\d+\.\d{3} s ±\d+% \(1\.00\) .* MiB ±\d+% \(1\.00\)", ended.stdout)
    assert "Median of 2 runs each" in ended.stdout


def test_the_runs_take_turns(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    count = f"grep -c jemalloc /proc/$$/maps >>{seen}; true"
    compared("-n", "2", "--allocators", FEW, "--", "sh", "-c", count)
    assert [number != "0" for number in seen.read_text().split()] == [False, False, True, True, False]


def test_an_allocator_on_which_the_program_fails_is_told() -> None:
    ended = snug("compare", "-n", "2", "--allocators", FEW, "--", "sh", "-c", FAIL_ON_JEMALLOC)
    assert ended.returncode == 1
    assert "jemalloc failed: exit status 3: broken" in ended.stdout
    ended = snug("compare", "-n", "2", "--json", "-", "--allocators", FEW, "--", "sh", "-c", FAIL_ON_JEMALLOC)
    assert ended.returncode == 1
    system, failed = json.loads(ended.stdout)["allocators"]
    assert "wall_s" in system
    assert set(failed) == {"name", "path", "version", "error"}


def test_a_program_that_fails_everywhere_is_told_in_one_line() -> None:
    ended = snug("compare", "-n", "1", "--allocators", FEW, "--", "sh", "-c", "echo why >&2; exit 4")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "snug: sh fails on the system's malloc: exit status 4: why\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nosuch", "there is no allocator 'nosuch'"),
        ("x=/nosuch.so", "x: /nosuch.so: no such file"),
        ("x=/etc/passwd", "x: /etc/passwd cannot be preloaded: "),
        ("=x", "'=x' is not name=path"),
    ],
)
def test_an_allocator_that_is_none_is_told(name: str, reason: str) -> None:
    with pytest.raises(AllocatorError, match=f"^{re.escape(reason)}"):
        find_allocators([name])
    ended = snug("compare", "--allocators", name, "--", "true")
    assert ended.returncode == 1 and ended.stderr.startswith(f"snug: {reason}")


def test_a_library_without_malloc_is_no_allocator(tmp_path: Path) -> None:
    library = tmp_path / "libnothing.so"
    subprocess.run(["gcc", "-shared", "-x", "c", "/dev/null", "-o", library], check=True)
    with pytest.raises(AllocatorError, match="cannot be preloaded: malloc still comes from"):
        find_allocators([f"nothing={library}"])


def test_a_library_in_a_folder_with_spaces_is_compared(tmp_path: Path) -> None:
    (peer,) = find_allocators(["jemalloc"])
    folder = tmp_path / "a folder: with spaces"
    folder.mkdir()
    (folder / "libjemalloc.so.2").symlink_to(peer.path)
    result = compared("-n", "1", "--allocators", f"mine={folder}/libjemalloc.so.2", "--", "true")
    assert "error" not in result["allocators"][1]


def test_a_program_that_nothing_can_be_preloaded_into_is_refused(tmp_path: Path) -> None:
    ended = snug("compare", "--allocators", FEW, "--", make_static(tmp_path))
    assert ended.returncode == 126 and "statically linked" in ended.stderr


def test_files_are_written_where_they_should_be(tmp_path: Path) -> None:
    plot, timeline, figures = tmp_path / "plot.svg", tmp_path / "timeline.html", tmp_path / "figures.json"
    files: list[str | Path] = ["--plot", plot, "--timeline", timeline, "--json", figures]
    ended = snug("compare", "-n", "2", "--allocators", FEW, *files, "--", "true")
    assert (ended.returncode, ended.stderr) == (0, "") and "allocator" in ended.stdout
    assert {"true", "system", "jemalloc", "wall time, seconds"} <= set(texts_in(plot.read_text()))
    texts = texts_in(timeline.read_text())
    assert {"true", "time, seconds"} <= set(texts)
    assert [text.partition(",")[0] for text in texts if text.endswith("MiB")][-2:] == ["system", "jemalloc"]
    assert json.loads(figures.read_text())["runs"] == 2


def texts_in(page: str) -> list[str]:
    """What can be read in the picture on a page, or in the picture alone."""
    picture = ElementTree.fromstring(page[page.index("<svg") : page.rindex("</svg>") + len("</svg>")])
    return [element.text or "" for element in picture.iter("{http://www.w3.org/2000/svg}text")]


def without_matplotlib(folder: Path) -> dict[str, str]:
    """Settings with which it cannot be imported."""
    (folder / "matplotlib.py").write_text("raise ModuleNotFoundError(name=__name__)\n")
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize("option", ["--plot", "--timeline"])
def test_without_matplotlib_a_picture_is_refused_before_anything_runs(option: str, tmp_path: Path) -> None:
    ran, picture = tmp_path / "was run", tmp_path / "picture.svg"
    ended = snug("compare", option, picture, "--", "touch", ran, **without_matplotlib(tmp_path))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"snug: {option} needs matplotlib: pip install 'snugmalloc[plot]'\n"
    assert not ran.exists() and not picture.exists()


def test_what_draws_no_picture_needs_no_matplotlib(tmp_path: Path) -> None:
    ended = snug("compare", "-n", "1", "--allocators", "system", "--", "true", **without_matplotlib(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_where_matplotlib_has_no_place_for_its_cache_nothing_is_said_of_it(tmp_path: Path) -> None:
    settings = {"MPLCONFIGDIR": "/proc/nosuch", "HOME": "/proc/nosuch"}
    picture = tmp_path / "picture.png"
    ended = snug("compare", "-n", "1", "--allocators", "system", "--plot", picture, "--", "true", **settings)
    assert (ended.returncode, ended.stderr) == (0, "") and picture.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--plot", "x.pdf"], "x.pdf: a picture is a .svg, .png or .html file"),
        (["--timeline", "-"], "-: a picture is a .svg, .png or .html file"),
        (["--timeline", "/nosuch/x.svg"], "/nosuch/x.svg: No such file or directory"),
        (["--plot", "x.svg", "--timeline", "x.svg"], "x.svg: --plot and --timeline need different files"),
        (["--plot", ""], "the name of the file is empty"),
        (["--plot", "/nosuch/x.svg"], "/nosuch/x.svg: No such file or directory"),
        (["--plot", "/etc/passwd/x.svg"], "/etc/passwd/x.svg: Not a directory"),
        (["--json", ""], "the name of the file is empty"),
        (["--json", "/"], "/: Is a directory"),
        (["--json", "x" * 300], "File name too long"),
        (["--allocators", ""], "the list is empty"),
        (["--allocators", " , "], "the list is empty"),
        (["-n", "0"], "0 is not in the range"),
    ],
)
def test_wrong_usage_is_told_before_anything_runs(arguments: list[str], reason: str, tmp_path: Path) -> None:
    ended = snug("compare", *arguments, "--", "touch", tmp_path / "was run")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert reason in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_missing_is_wrong_usage() -> None:
    ended = snug("compare")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


def test_looking_whether_a_file_can_be_written_changes_nothing(tmp_path: Path) -> None:
    there, link = tmp_path / "there", tmp_path / "link"
    there.write_text("before")
    link.symlink_to("new")
    for file in (there, link, tmp_path / "other"):
        check_writable(str(file))
    assert there.read_text() == "before"
    assert sorted(tmp_path.iterdir()) == [link, there]


def test_a_file_that_becomes_full_is_told_in_one_line() -> None:
    ended = snug("compare", "-n", "1", "--allocators", "system", "--json", "/dev/full", "--", "true")
    assert (ended.returncode, ended.stderr) == (1, "snug: /dev/full: No space left on device\n")
    assert "system" in ended.stdout


def test_a_free_threaded_python_is_told_about_and_compared(tmp_path: Path) -> None:
    python = make_python(tmp_path, "python3.14", is_free_threaded=True)
    ended = snug("compare", "-n", "1", "--allocators", "system", "--", python)
    assert (ended.returncode, ended.stderr.count("\n")) == (0, 1)
    assert "is a free-threaded Python" in ended.stderr


def test_what_the_environment_has_wrong_is_told_once() -> None:
    ended = snug("compare", "-n", "1", "--allocators", FEW, "--", "true", SNUG_LIMT="1M")
    assert ended.returncode == 0
    assert ended.stderr == "snug: SNUG_LIMT=1M: no such option, ignored: is SNUG_LIMIT meant?\n"


def test_a_program_with_leak_sanitizer_is_compared_untraced(tmp_path: Path) -> None:
    program = make_leak_checked(tmp_path)
    ended = snug("compare", "-n", "1", "--allocators", FEW, "--json", "-", "--", program)
    assert ended.returncode == 0 and "--no-trace" in ended.stderr
    assert [entry["final_resident_bytes"] for entry in json.loads(ended.stdout)["allocators"]] == [None, None]
    (entry,) = compared("-n", "1", "--allocators", "system", "--no-trace", "--", program)["allocators"]
    assert entry["final_resident_bytes"] is None


def test_the_program_has_no_terminal_and_no_group_of_ours(tmp_path: Path) -> None:
    compared("-n", "1", "--allocators", "system", "--", "sh", "-c", f"ps -o sid= $$ >{tmp_path}/session")
    assert int((tmp_path / "session").read_text()) != os.getsid(0)
