"""The trainer of generators reaches nobody either (RELIABILITY A8)."""

from pathlib import Path

import pytest

from tests.models_rm.test_offline_trainers import watched


@pytest.mark.promise("A8")
def test_a_whole_alignment_reaches_nobody(alignment_run, tmp_path: Path) -> None:
    run = alignment_run("run", {"steps": 2})
    code, seen, printed = watched(tmp_path / "seen", "models_align", "train", str(run.root))
    assert code == 0, printed
    assert seen == []
    assert (run.outputs / "adapter" / "pytorch_lora_weights.safetensors").is_file()
