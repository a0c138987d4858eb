"""snug report, snug diff and snug export as a user meets them."""

from __future__ import annotations

import html.parser
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from snugmalloc.cli.sections import duration
from snugmalloc.trace import Flags, Header, Operation, SourceFrame, TraceWriter

SNUG = Path(sys.executable).with_name("snug")
HEADER = Header(start=1000, page_size=4096)
MARKUP = "[bold]<b>&\x1b[31m"
"""A function: names come from programs, and may look like orders to a terminal or a page."""


def snug(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command on a wide terminal, where nothing is folded."""
    wide = {**os.environ, "COLUMNS": "150"}
    return subprocess.run([SNUG, *arguments], capture_output=True, text=True, cwd=cwd, env=wide)


def write_service(path: Path, kept: int = 10, header: Header = HEADER) -> Path:
    """Pages filled by one line, of which another line keeps a block each."""
    main = SourceFrame("app.py", 1, "main")
    with TraceWriter(path, header, {"program": "python app.py"}) as writer:
        load = writer.stack([SourceFrame("app.py", 7, "load"), main])
        keep = writer.stack([SourceFrame("app.py", 30, MARKUP), main])
        writer.add(Operation.GROWTH, size=kept * 4096, address=0x10000)
        writer.add(Operation.THREAD_NAME, thread=1, number=writer.text("keeper"))
        for page in range(kept):
            place, now = 0x10000 + 4096 * page, 10**9 * page
            writer.add(Operation.CALLOC, time=now, size=3000, number=1, address=place, stack=load)
            writer.add(Operation.MALLOC, thread=1, time=now, size=96, address=place + 4000, stack=keep)
        for page in range(kept):
            writer.add(Operation.FREE, time=10**10, old=0x10000 + 4096 * page)
        writer.add(Operation.PURGE, time=10**10, size=8192, address=0x10000)
    return path


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return write_service(tmp_path / "app.snug")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ns"),
        (2e-9, "2 ns"),
        (0.9994, "999 ms"),
        (0.99996, "1 s"),
        (1, "1 s"),
        (59.99, "1 min"),
        (7200, "2 h"),
    ],
)
def test_a_time_has_the_largest_unit_that_it_has_one_of(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_report_tells_who_holds_pages_back(trace: Path) -> None:
    outcome = snug("report", trace)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    shown = " ".join(outcome.stdout.split())
    assert (
        "held back at the end: 39.1 KiB are held by 10 blocks of 1 line, on 10 of 10 pages of 4.0 KiB" in shown
    )
    for title in (
        "Held back at the end, by line:",
        "Held back at the end, by stack:",
        "Held back at the end, by size:",
        "Held back at the end, by age:",
        "Held back at the end, by thread:",
        "Live at the end:",
        "Most blocks allocated:",
        "Taken from the system and given back:",
    ):
        assert title in shown
    assert "[bold]<b>&\\x1b[31m (app.py:30) < main (app.py:1)" in shown
    assert "\x1b" not in outcome.stdout


def test_the_figures_of_a_moment(trace: Path) -> None:
    moment = json.loads(snug("report", trace, "--json", "-").stdout)["moment"]
    assert (moment["name"], moment["call"], moment["seconds"]) == ("at the end", 30, 10.0)
    held = moment["held"]
    assert (held["page_bytes"], held["pages"], held["pinned_pages"], held["held_bytes"]) == (
        4096,
        10,
        10,
        40_000,
    )
    by = held["by"]
    figures = {"blocks": 10, "bytes": 960, "held_bytes": 40_000}
    assert by["by_origin"] == [{"origin": f"{MARKUP} (app.py:30)", **figures}]
    assert by["by_stack"] == [{"frames": [f"{MARKUP} (app.py:30)", "main (app.py:1)"], **figures}]
    assert by["by_size"] == [{"up_to": 128, **figures}]
    assert [(age["up_to"], age["blocks"]) for age in by["by_age_in_seconds"]] == [(1, 1), (10, 9)]
    assert by["by_thread"] == [{"thread": 1, "id": None, "name": "keeper", **figures}]
    early = json.loads(snug("report", trace, "--json", "-", "--at", "0.5s").stdout)["moment"]
    assert (early["call"], early["live"]["bytes"], early["held"]["held_bytes"]) == (2, 3096, 0)


def test_a_report_without_addresses_says_why_nothing_is_known_of_pages(tmp_path: Path) -> None:
    trace = write_service(tmp_path / "app.snug", header=Header(Flags.TIMES))
    shown = " ".join(snug("report", trace, "--at", "5").stdout.split())
    assert "held back after 5 calls: not known: the trace has no addresses" in shown
    assert "Held back" not in shown
    moment = json.loads(snug("report", trace, "--json", "-").stdout)["moment"]
    assert (moment["held"], moment["why_not_held"]) == (None, "the trace has no addresses")


def test_what_changed_between_two_traces(tmp_path: Path, trace: Path) -> None:
    after = write_service(tmp_path / "after.snug", kept=15)
    outcome = snug("diff", trace, after)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    shown = " ".join(outcome.stdout.split())
    assert "calls 30 45 +15 (+50 %)" in shown
    assert "held back at the end 39.1 KiB 58.6 KiB +19.5 KiB (+50 %)" in shown
    assert "load (app.py) +5 +14.6 KiB +14.6 KiB" in shown
    printed = json.loads(snug("diff", trace, after, "--json", "-").stdout)
    assert printed["total"]["before"]["held_bytes"] == 40_000
    assert printed["total"]["after"]["held_bytes"] == 60_000
    assert {change["name"] for change in printed["by_thread"]} == {"thread 0", "keeper"}
    assert [change["up_to"] for change in printed["by_size"]] == [128, 4096]
    same = " ".join(snug("diff", trace, trace).stdout.split())
    assert "calls 30 30 none" in same
    assert "Changed" not in same


def test_a_trace_with_stacks_beside_one_without_says_that_lines_are_not_compared(
    tmp_path: Path, trace: Path
) -> None:
    plain = write_service(tmp_path / "plain.snug", header=Header(Flags.ADDRESSES))
    shown = " ".join(snug("diff", trace, plain).stdout.split())
    assert "lines are not compared: one of the traces has no stacks" in shown


def test_what_is_held_back_is_compared_where_both_traces_tell(tmp_path: Path, trace: Path) -> None:
    after = write_service(tmp_path / "after.snug", 15, HEADER._replace(flags=Flags.TIMES | Flags.STACKS))
    shown = snug("diff", trace, after).stdout
    assert "Changed most by line" in shown
    assert "held back" not in shown
    printed = json.loads(snug("diff", trace, after, "--json", "-").stdout)
    assert not printed["knows_held_bytes"]
    assert {printed["total"][side]["held_bytes"] for side in ("before", "after")} == {0}


class Page(html.parser.HTMLParser):
    """What a browser would take from a page: its texts, and every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_the_page_has_what_the_terminal_has_and_nothing_from_elsewhere(trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "app.html"
    outcome = snug("report", trace, "--html", path)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
    page = Page(path.read_text(encoding="utf-8"))
    shown = snug("report", trace).stdout
    titles = re.findall(r"^(\S.*):$", shown, re.MULTILINE)
    assert titles
    assert set(titles) <= set(page.texts)
    assert "[bold]<b>&\\x1b[31m (app.py:30)" in page.texts
    assert not {"script", "img", "link", "b", "iframe"} & {tag for tag, _ in page.tags}
    leads = [value for _, named in page.tags for name, value in named.items() if name in ("href", "src")]
    assert leads == [f"#s{number}" for number in range(1, len(titles) + 1)]
    assert {named["id"] for tag, named in page.tags if tag == "section"} == {lead[1:] for lead in leads if lead}
    widths = [float(named["width"] or 0) for tag, named in page.tags if tag == "rect"]
    assert max(widths) == 100
    assert min(widths) >= 0


def test_page_and_figures_can_be_had_at_once(trace: Path, tmp_path: Path) -> None:
    outcome = snug("report", trace, "--html", "app.html", "--json", "app.json", cwd=tmp_path)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
    assert json.loads((tmp_path / "app.json").read_text())["moment"]["call"] == 30
    assert (tmp_path / "app.html").read_text().startswith("<!DOCTYPE html>")


def test_a_trace_is_exported(trace: Path, tmp_path: Path) -> None:
    outcome = snug("export", trace, "--to", "sqlite", "-o", "app.db", cwd=tmp_path)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
    with sqlite3.connect(tmp_path / "app.db") as database:
        assert database.execute("SELECT count(*) FROM blocks").fetchall() == [(20,)]
    arguments = ("--to", "collapsed", "--at", "peak", "--value", "inuse_objects")
    assert snug("export", trace, *arguments, "-o", "app.txt", cwd=tmp_path).returncode == 0
    lines = (tmp_path / "app.txt").read_text().splitlines()
    assert [line.rsplit(" ", 1)[1] for line in lines] == ["10", "10"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            "report app.snug --at noon",
            2,
            "snug report: Invalid value for '--at': noon is neither end, peak, seconds (2.5s) nor a number of"
            " calls (20000) (see: snug report --help)",
        ),
        ("report app.snug --at 31", 1, "snug: app.snug: has 30 calls, and not 31"),
        ("report app.snug --at 11s", 1, "snug: app.snug: ends after 10.000 s"),
        (
            "report app.snug --json x --html x",
            2,
            "snug report: --json and --html name the same file (see: snug report --help)",
        ),
        (
            "diff app.snug app.txt",
            1,
            "snug: app.txt: is not a .snug trace: convert it with snug trace convert",
        ),
        (
            "export app.snug --to csv -o x --at peak",
            2,
            "snug export: --at is for pprof, speedscope, collapsed (see: snug export --help)",
        ),
        (
            "export app.snug --to pprof -o x --value inuse_space",
            2,
            "snug export: --value is for collapsed (see: snug export --help)",
        ),
        (
            "export app.snug --to csv -o app.snug",
            1,
            "snug: app.snug: is the input: choose another output file",
        ),
        ("export app.snug --to csv -o /nosuch/x", 1, "snug: /nosuch/x: No such file or directory"),
        *(
            (f"export app.snug --to {form} -o /dev/full", 1, "snug: /dev/full: No space left on device")
            for form in ("csv", "pprof", "speedscope", "collapsed", "parquet", "perfetto")
        ),
        (
            "export app.snug --to sqlite -o /dev/full",
            1,
            "snug: /dev/full: a database is written to a file of its own",
        ),
        ("export plain.snug --to pprof -o x", 1, "snug: plain.snug: has no stacks, which profiles need"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(trace: Path, arguments: str, status: int, message: str) -> None:
    folder = trace.parent
    (folder / "app.txt").write_text("Two roads diverged\n")
    write_service(folder / "plain.snug", header=Header(Flags.ADDRESSES))
    content = trace.read_bytes()
    outcome = snug(*arguments.split(), cwd=folder)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (status, "", f"{message}\n")
    assert trace.read_bytes() == content
    assert not (folder / "x").exists()


@pytest.mark.parametrize(
    ("package", "arguments", "message"),
    [
        ("jinja2", "report app.snug --html x", "a page needs jinja2: pip install 'snugmalloc[html]'"),
        (
            "pyarrow",
            "export app.snug --to parquet -o x",
            "Parquet needs pyarrow: pip install 'snugmalloc[parquet]'",
        ),
    ],
)
def test_a_package_that_is_not_there_is_named(trace: Path, package: str, arguments: str, message: str) -> None:
    program = f"import sys; sys.modules[{package!r}] = None; from snugcommand import main; main()"
    outcome = subprocess.run(
        [sys.executable, "-c", program, *arguments.split()], cwd=trace.parent, capture_output=True, text=True
    )
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (1, "", f"snug: {message}\n")
    assert not (trace.parent / "x").exists()
