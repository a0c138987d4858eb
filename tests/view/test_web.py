"""The page's source: its types, its own tests, and that the page in the package is what it makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from snugmalloc.viewing import demo, page
from snugmalloc.viewing.page import LARGEST_PAGE

from ..builds import ROOT
from ..dropin.test_programs import need

WEB = ROOT / "web"
TEMPLATES = (page.TEMPLATE, demo.TEMPLATE)


def npm(*arguments: str | Path) -> None:
    """Run npm in the folder of the source; what it says is shown if it fails."""
    ended = subprocess.run(
        [need("npm"), *arguments], cwd=WEB, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert ended.returncode == 0, ended.stdout


@pytest.fixture(scope="module", autouse=True)
def modules() -> None:
    """What package-lock.json names, installed; nothing is done where it is."""
    done = WEB / "node_modules" / ".package-lock.json"
    if not done.exists() or done.stat().st_mtime < (WEB / "package-lock.json").stat().st_mtime:
        npm("ci", "--no-audit", "--no-fund", "--ignore-scripts")


def test_the_types_are_right() -> None:
    npm("run", "check")


def test_its_own_tests_pass() -> None:
    npm("test")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_the_page_in_the_package_is_what_the_source_makes(template: Path, tmp_path: Path) -> None:
    npm("run", f"build:{template.stem}", "--", "--outDir", tmp_path)
    assert (tmp_path / template.name).read_bytes() == template.read_bytes(), "run: npm run build, in web"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_the_page_is_small_and_names_no_other_place(template: Path) -> None:
    text = template.read_text()
    assert len(text) < LARGEST_PAGE / 50
    for word in ("http://", "https://", "//cdn", "@import", "url("):
        assert word not in text, word


def test_the_lock_names_no_registry() -> None:
    assert '"resolved"' not in (WEB / "package-lock.json").read_text()
