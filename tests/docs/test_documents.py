"""The documents: their examples run and print what they show, and their links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .documents import blocks_of, demo_shape, with_outputs

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("src/**/*.md"), *ROOT.glob("benchmarks/*.md")]
)
WITH_C = [README, ROOT / "docs" / "heaps.md"]
WITH_EXAMPLES = [README, ROOT / "docs" / "four-functions.md", ROOT / "docs" / "trace-format.md"]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=named)
def test_the_python_examples_print_what_is_shown(path: Path) -> None:
    assert with_outputs(path) == path.read_text()


@pytest.mark.parametrize("document", WITH_C, ids=named)
def test_the_c_example_compiles_and_prints_what_is_shown(document: Path, tmp_path: Path) -> None:
    blocks = blocks_of(document.read_text())
    (at,) = [number for number, block in enumerate(blocks) if block.language == "c"]
    source, commands, shown = blocks[at : at + 3]
    name = source.text.split()[1]  # it begins with it, as a comment
    (tmp_path / name).write_text(source.text)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    outcome = subprocess.run(
        ["sh", "-e", "-c", commands.text],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert (outcome.stderr, outcome.stdout) == ("", shown.text)


def test_the_readme_shows_what_the_demo_prints() -> None:
    (shown,) = [block.text for block in blocks_of(README.read_text()) if block.language == "demo"]
    demo = subprocess.run(
        [Path(sys.executable).with_name("snug"), "demo"], capture_output=True, text=True, check=True
    )
    assert demo_shape(shown) == demo_shape(demo.stdout)


def test_the_readmes_two_commands_are_those_of_the_script() -> None:
    shown = re.findall(r"^    \./run (\w+)", README.read_text(), re.MULTILINE)
    usage = subprocess.run([ROOT / "run"], capture_output=True, text=True).stderr
    assert usage == f"usage: {' | '.join(f'./run {target}' for target in shown)}\n"


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_to_files_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_glossary_defines_each_term_once_and_in_order() -> None:
    rows = re.findall(r"^\| \*\*(.+?)\*\* \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert rows == sorted(set(rows))
