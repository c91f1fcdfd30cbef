"""Trainers reach nobody: no name is looked up and nothing is connected to (RELIABILITY A8)."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from formats.run_dir import RunDir
from models_rm.backbones.loading import load_backbone
from models_rm.errors import BackboneMissingError
from tests.promises import Figures

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "offline.py"


def watched(record: Path, *words: str) -> tuple[int, list[Any], str]:
    """Exit code, what was looked up or connected to, and what was printed."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(record.parent), "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(record), *words],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    seen = [json.loads(line) for line in record.read_text().splitlines()]
    return done.returncode, seen, done.stdout + done.stderr


@pytest.mark.promise("A8")
def test_a_whole_training_of_a_reward_model_reaches_nobody(
    make_run: Callable[..., RunDir], tmp_path: Path, figures: Figures
) -> None:
    run = make_run(steps=2, probe_pairs=0)
    code, seen, printed = watched(tmp_path / "seen", "models_rm", "train", str(run.root))
    assert code == 0, printed
    assert seen == []
    assert (run.outputs / "reward_model" / "weights.safetensors").is_file()
    figures("A8", lookups_and_connections=0)


@pytest.mark.mutant("A8")
def test_the_watch_sees_who_looks_up_a_name(tmp_path: Path) -> None:
    code, seen, printed = watched(tmp_path / "seen", "urllib.request")
    assert (code, seen) == (0, []), printed
    (tmp_path / "caller.py").write_text(
        "import urllib.request\nurllib.request.urlopen('http://huggingface.invalid/')\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    words = [sys.executable, str(SCRIPT), str(tmp_path / "seen"), "caller"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "socket.getaddrinfo" in (tmp_path / "seen").read_text()


# Branch, tag, short commit, address, parent folder, absolute folder, none at all.
BAD = ("x/model@main", "x/model@v1.0", "x/model@abc1234", "https://huggingface.invalid/x/model",
       "../model", "/no/such/folder", "x/model", "model")  # fmt: skip


@pytest.mark.promise("A8")
@pytest.mark.parametrize("source", BAD)
def test_a_model_that_is_not_on_this_machine_is_not_fetched(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError(f"somebody connects to {arguments}")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    with pytest.raises(BackboneMissingError):
        load_backbone(source, "float32")
