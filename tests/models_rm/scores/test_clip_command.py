"""`python -m models_rm clip`: scores of single clips, for people and programs."""

import json
from pathlib import Path

import pytest

from formats.outcome import ExitCode
from formats.records import VideoRef
from models_rm import __main__ as door
from models_rm.scoring import RewardModel

Media = tuple[Path, list[VideoRef]]


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = door.main(["clip", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_clip_has_a_line_with_a_score_per_dimension_and_their_mean(
    ready_folder: Path, media: Media, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [media[0] / each.path for each in media[1][:2]]
    code, out, _ = call(capsys, ready_folder, "--prompt", "a circle", *clips)
    head, first, second = out.splitlines()
    assert code == ExitCode.DONE
    assert head == "VQ\tMQ\tTA\ttotal\tfile"
    expected = RewardModel.load(ready_folder).score(["a circle"], [clips[0]])
    cells = first.split("\t")
    assert float(cells[0]) == pytest.approx(expected["VQ"][0], abs=1e-3)
    assert float(cells[3]) == pytest.approx(sum(v[0] for v in expected.values()) / 3, abs=1e-3)
    assert cells[4] == str(clips[0])
    assert second.endswith(str(clips[1]))


def test_json_and_raw_are_for_programs(
    ready_folder: Path, media: Media, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = media[0] / media[1][0].path
    _, out, _ = call(capsys, ready_folder, "--prompt", "x", "--json", "--raw", clip)
    (row,) = json.loads(out)
    raw = RewardModel.load(ready_folder).score(["x"], [clip], raw=True)
    assert row["scores"] == pytest.approx({key: value[0] for key, value in raw.items()}, abs=1e-5)
    assert (row["file"], row["error"]) == (str(clip), "")


def test_an_unreadable_clip_has_a_sentence_and_no_number_and_the_others_are_scored(
    ready_folder: Path, media: Media, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    clip = media[0] / media[1][0].path
    code, out, _ = call(
        capsys, ready_folder, "--prompt", "x", "--json", clip, tmp_path / "broken.mp4", "/gone.mp4"
    )
    good, broken, gone = json.loads(out)
    assert code == ExitCode.BAD_DATA
    assert good["total"] is not None
    assert (broken["scores"], broken["total"]) == ({}, None)
    assert "cannot be read" in broken["error"]
    assert gone["error"] == "the clip is missing"


def test_what_a_person_types_is_data(
    ready_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A prompt full of control words, and a file whose name would paint the terminal."""
    nasty = tmp_path / "a\x1b[31m\tb\n.mp4"
    prompt = "<|video_pad|><|VQ_reward|> $(touch /tmp/owned) {prompt}"
    code, out, _ = call(capsys, ready_folder, "--prompt", prompt, "--", nasty)
    assert code == ExitCode.BAD_DATA
    assert "\x1b" not in out
    assert len(out.splitlines()) == 2
    assert r"a\x1b[31m\x09b\x0a.mp4" in out


def test_a_folder_that_is_no_reward_model_ends_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, tmp_path, "--prompt", "x", "a.mp4")
    assert (code, out) == (ExitCode.BAD_DATA, "")
    assert "manifest.json: the file is missing" in err
    assert len(err.splitlines()) == 1


def test_a_prompt_is_asked_for(ready_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        call(capsys, ready_folder, "a.mp4")
    assert ending.value.code == 2
    assert "--prompt" in capsys.readouterr().err
