"""Score files of other judges: each row finds its clip, each value its scale, or it is named."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from formats.errors import FormatError
from formats.records import GenerationRecord, ScoreRecord, VideoRef
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact
from pipelines.scoring import refuse_two_scales
from pipelines.step_configs import StepConfigError
from pipelines.suites.imported_scores import check
from pipelines.suites.score_files import matched, read_rows

SCALE = {"VQ": [0, 1], "TA": [1, 5]}
CLIPS = [
    GenerationRecord(
        f"s/{n}", f"prompt {n}", "test",
        VideoRef(f"id{n}", f"clips/{n}.mp4", str(n) * 64, 8.0, 4, seed=7),
    )
    for n in range(2)
]  # fmt: skip


def _read(folder: Path, text: str, name: str = "s.csv") -> list[ScoreRecord]:
    file = folder / name
    file.write_text(text)
    return matched(CLIPS, read_rows(file, name, SCALE), name, {"0" * 64: "theirs/a.mp4"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.csv", "video,VQ,TA\nid0,0.5,2\nid1,0.25,5\n"),
        ("s.csv", f"video,VQ,TA\n{'0' * 64},0.5,2\nid1,0.25,5\n"),
        ("s.csv", "path,VQ,TA\ntheirs/a.mp4,0.5,2\n1.mp4,0.25,5\n"),
        ("s.csv", "prompt,seed,VQ,TA\nprompt 0,7,0.5,2\nprompt 1,7,0.25,5\n"),
        (
            "s.jsonl",
            '{"video": "id0", "VQ": 0.5, "TA": 2}\n\n{"path": "1.mp4", "VQ": 0.25, "TA": 5}\n',
        ),
    ],
)
def test_a_clip_goes_by_several_names(tmp_path: Path, name: str, text: str) -> None:
    found = _read(tmp_path, text, name)
    assert [each.score for each in found] == [{"VQ": 0.5, "TA": 2}, {"VQ": 0.25, "TA": 5}]
    assert [each.video_id for each in found] == ["id0", "id1"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "video,VQ,TA\nid0,50,2\n",
            "s.csv:2: VQ is 50, off its scale of 0 to 1; the file is on another scale, or",
        ),
        ("video,VQ,TA\nid0,nan,2\n", "s.csv:2: VQ must be a finite number, got 'nan'"),
        ("video,VQ,TA\nid0,good,2\n", "s.csv:2: VQ must be a finite number, got 'good'"),
        ("video,VQ\nid0,0.5\n", "s.csv:2: there is no score for 'TA'"),
        ("video,VQ,TA,MQ\nid0,0.5,2,1\n", "s.csv:2: the scale of the column 'MQ' is not given"),
        (
            "video,VQ,TA\nid0,0.5,2\nid0,0.5,2\n",
            "s.csv:3: the clip 'video id0' has scores in line 2",
        ),
        ("VQ,TA\n0.5,2\n", "s.csv:2: the row names no clip: give video, path, or prompt"),
        ("video,VQ,TA\nid0,0.5,2\n", "1 clips have no scores: id1 ('prompt 1', seed 7)"),
        (
            "video,VQ,TA\nid0,0.5,2\nid1,0.5,2\nid9,0.5,2\n",
            "s.csv:4: no clip of the set is named 'id9' (1 rows name none)",
        ),
        ("video,VQ,TA\n", "s.csv: the file has no score"),
        ("video,VQ,TA\nid0,0.5\n", "s.csv:2: expected 3 columns"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(FormatError) as caught:
        _read(tmp_path, text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"video": "id0", "VQ": true, "TA": 2}', "VQ must be a finite number, got True"),
        ('{"video": "id0", "VQ": null, "TA": 2}', "VQ must be a finite number, got None"),
        ("[1]", "s.jsonl:1: expected an object"),
        ("{", "s.jsonl:1: not JSON"),
    ],
)
def test_bad_json_lines_are_refused_with_their_line(
    tmp_path: Path, line: str, sentence: str
) -> None:
    with pytest.raises(FormatError) as caught:
        _read(tmp_path, line, "s.jsonl")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"scale": {"VQ": [0, 1]}}, "judge must be a name"),
        ({"judge": "J", "scale": {}}, "scale must be given"),
        ({"judge": "J", "scale": {"VQ": [1, 0]}}, "the scale of VQ must be [lowest, highest]"),
        ({"judge": "J", "scale": {"VQ": [0]}}, "the scale of VQ must be [lowest, highest]"),
        ({"judge": "J", "scale": {"VQ": [False, True]}}, "the scale of VQ must be"),
        ({"judge": "J", "scale": {"seed": [0, 1]}}, "a dimension must be none of video, path"),
        ({"judge": "J", "scale": {"VQ": [0, 1]}, "file": "no.csv"}, "there is no file incoming/no"),
        ({"judge": "J", "scale": {"VQ": [0, 1]}, "file": "../x"}, "must lie below the folder for"),
    ],
)
def test_a_config_that_cannot_work_is_refused_before_the_start(
    config: dict[str, Any], sentence: str
) -> None:
    incoming = Path(settings.MEDIA_ROOT) / "incoming"
    incoming.mkdir(parents=True, exist_ok=True)
    (incoming / "s.csv").write_text("")
    with pytest.raises(InvalidRunConfig) as caught:
        check({"file": "s.csv", **config})
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("base", "candidate", "sentence"),
    [
        (
            {"scale": {"VQ": [0, 1]}},
            {"scale": {"VQ": [0, 100]}},
            "on two scales: VQ 0 to 1 and VQ 0 to 100; score both sides alike, two scales are",
        ),
        ({"reward_model": "a" * 64}, {"reward_model": "b" * 64}, "with two reward models: aaaaaa"),
        ({"judge": "J"}, {"judge": "K"}, "under two names: J and K"),
        ({"scale": {"VQ": [0, 1]}}, {}, "the scores of one side were imported, those of the other"),
    ],
)
def test_two_scales_are_never_compared(
    base: dict[str, Any], candidate: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(StepConfigError) as caught:
        refuse_two_scales("J", Artifact(meta=base), Artifact(meta=candidate))
    assert sentence in str(caught.value)
    refuse_two_scales("J", Artifact(meta=base), Artifact(meta=base))
