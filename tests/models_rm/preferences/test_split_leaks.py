"""What is examined was not learned from: prompts and clips stand in one split only (ML.md R4)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from formats.errors import FormatError
from formats.outcome import ExitCode
from formats.records import PreferenceRecord
from formats.run_dir import RunDir
from formats.supervised import supervise
from models_rm.preferences.leakage import refuse_leaks
from models_rm.training.run import train


def test_splits_that_share_nothing_pass(records: list[PreferenceRecord]) -> None:
    refuse_leaks(records)
    refuse_leaks([])


@pytest.mark.parametrize("prompt", ["prompt 0", "  Prompt   0 "])
def test_a_shared_prompt_is_named(records: list[PreferenceRecord], prompt: str) -> None:
    moved = [*records[:10], replace(records[10], prompt=prompt)]
    with pytest.raises(FormatError, match=r"the prompt .* stands in the splits train and test"):
        refuse_leaks(moved)


def test_a_shared_file_is_named_by_its_content_and_not_by_its_name(
    records: list[PreferenceRecord],
) -> None:
    copy = replace(records[10].video_a, sha256=records[0].video_b.sha256, path="other/name.mp4")
    moved = [*records[:10], replace(records[10], video_a=copy)]
    with pytest.raises(FormatError, match=r"other/name.mp4 .* in the splits train and test"):
        refuse_leaks(moved)


def test_clips_without_a_hash_and_clips_scored_alone_are_no_leak(
    records: list[PreferenceRecord],
) -> None:
    nameless = [
        replace(row, video_a=replace(row.video_a, sha256=""), video_b=None) for row in records
    ]
    refuse_leaks(nameless)


def test_training_refuses_a_snapshot_that_leaks(
    make_run: Callable[..., RunDir], records: list[PreferenceRecord]
) -> None:
    run = make_run(rows=[*records, replace(records[0], pair_id="again", split="test")])
    assert supervise(train, run) == ExitCode.BAD_DATA
    outcome = run.outcome()
    assert outcome is not None
    assert "stands in the splits" in outcome.message
    assert not (run.outputs / "reward_model").exists()
