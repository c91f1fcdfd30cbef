"""The unit tests of static/js, run by the Node that Playwright's wheel carries: none is skipped."""

import json
import os
import subprocess
from pathlib import Path

import playwright
import pytest

from annotation.accounts.profiles import COMMANDS

ROOT = Path(__file__).parents[2]
NODE = Path(playwright.__file__).parent / "driver" / ("node.exe" if os.name == "nt" else "node")
SHOW_KEYS = """
import { withChanges } from "./static/js/lib/keymap.js";
console.log(JSON.stringify(withChanges()));
"""


def node(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(NODE), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("tests/js/*.test.js")), ids=lambda file: file.stem
)
def test_units(file: Path) -> None:
    done = node("--test", "--test-reporter=tap", str(file))
    assert done.returncode == 0, done.stdout
    assert "# pass 0" not in done.stdout


def test_the_site_keeps_keys_for_the_commands_that_the_page_has() -> None:
    shown = node("--input-type=module", "--eval", SHOW_KEYS)
    assert json.loads(shown.stdout) == dict(COMMANDS)
