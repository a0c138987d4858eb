"""docs/commands.md says what the commands say; the shell can complete them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_is_what_the_commands_make(tmp_path: Path) -> None:
    page = tmp_path / "commands.md"
    subprocess.run([sys.executable, DOCS / "commands.py", page], check=True)
    assert (DOCS / "commands.md").read_text() == page.read_text(), "run: python docs/commands.py"


def test_help_of_each_command_fits_on_a_screen() -> None:
    for block in (DOCS / "commands.md").read_text().split("```text\n")[1:]:
        lines = block.partition("```")[0].splitlines()
        assert len(lines) <= 40 and max(map(len, lines)) <= 80


def test_the_shell_completes_commands_and_options() -> None:
    for typed, expected in (("snug co", "plain,compare\n"), ("snug run --rep", "plain,--report\n")):
        environment = {
            **os.environ,
            "_SNUG_COMPLETE": "bash_complete",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        }
        snug = Path(sys.executable).with_name("snug")
        assert subprocess.run([snug], env=environment, capture_output=True, text=True).stdout == expected
