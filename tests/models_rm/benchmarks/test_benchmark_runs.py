"""A reward model through a benchmark: as a run, and as a command for people."""

import csv
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats.checkpoints import verify_folder
from formats.files import read_json, sha256_of
from formats.outcome import ExitCode, Outcome, OutputKind
from formats.records import VideoRef
from formats.run_dir import Input, RunDir
from formats.supervised import Supervised, supervise
from models_rm import __main__ as door
from models_rm.benchmarks.running import benchmark
from models_rm.reward_models.members import Judged, Prepared, Seen
from models_rm.scoring import RewardModel

Media = tuple[Path, list[VideoRef]]
COLUMNS = ["path_A", "path_B", "A_model", "B_model", "prompt", "VQ", "MQ", "TA", "Overall"]


def rewardbench(file: Path, clips: Sequence[str], *, pairs: int = 8) -> Path:
    """Pairs over these clips, three prompts; the first clip comes under all of them."""
    words = ("A", "same", "B", "A")
    with file.open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(COLUMNS)
        for number in range(pairs):
            a, b = clips[0], clips[1 + number % (len(clips) - 1)]
            labels = [words[(number + shift) % 4] for shift in range(4)]
            writer.writerow([a, b, "m", "n", f"prompt {number % 3}", *labels])
    return file


@pytest.fixture
def folder(tmp_path: Path, media: Media) -> Path:
    """MEDIA_ROOT with a benchmark in its folder for imports."""
    place = tmp_path / "media" / "incoming" / "rewardbench"
    (place / "videos").mkdir(parents=True)
    clips = [f"videos/{clip.path}" for clip in media[1][:5]]
    for clip in media[1][:5]:
        shutil.copy(media[0] / clip.path, place / "videos")
    rewardbench(place / "bench.csv", clips)
    return place


def prepared(tmp_path: Path, model: Path, **config: Any) -> RunDir:
    run = RunDir(tmp_path / "run")
    wanted = {"folder": "rewardbench", "file": "bench.csv", "bootstrap": 20, "part_clips": 2,
              "batch_size": 2, **config}  # fmt: skip
    judge = Input(str(model), sha256_of(model / "manifest.json"))
    run.prepare(wanted, {"reward_model": judge}, media_root=tmp_path / "media")
    return run


def ended(run: RunDir) -> Outcome:
    supervise(benchmark, run)
    outcome = run.outcome()
    assert outcome is not None
    return outcome


def test_the_run_leaves_the_table_the_result_and_the_scores(
    tmp_path: Path, ready_folder: Path, folder: Path
) -> None:
    run = prepared(tmp_path, ready_folder)
    outcome = ended(run)
    assert outcome.exit_code == 0, outcome.message
    assert outcome.outputs[0].kind is OutputKind.BENCHMARK
    verify_folder(run.outputs / "benchmark")
    result = read_json(run.outputs / "benchmark/result.json", "reward_benchmark/1")
    assert (result["pairs"], result["clips"]) == (8, 11)
    assert result["sha256"] == sha256_of(folder / "bench.csv")
    columns = result["models"][0]["columns"]
    assert set(columns) == {"VQ", "MQ", "TA", "Overall"}
    assert columns["VQ"]["threshold_fitted"] == 0.01
    assert columns["Overall"]["threshold_fitted"] is None  # nothing was trained on it
    assert outcome.summary["accuracy_with_ties"]["this model"]["VQ"] == pytest.approx(
        columns["VQ"]["accuracy_with_ties"]
    )
    rows = outcome.summary["accuracy_with_ties"]
    assert {"this model", "random", "always a tie", "VisionReward (published)"} <= set(rows)
    assert rows["VideoReward (published)"]["VQ"] == pytest.approx(0.5968)
    assert "| **this model** |" in (run.outputs / "benchmark/table.md").read_text()


def test_each_clip_and_prompt_is_scored_once_also_by_a_killed_run(
    tmp_path: Path, ready_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    forward = RewardModel.run

    def counting(self: RewardModel, prepared: Prepared) -> Judged:
        seen.extend(prepared.prompts)
        return forward(self, prepared)

    class Killed(BaseException):
        pass

    def die(self: Supervised, save: Any = None) -> None:
        if len(seen) >= 6:
            raise Killed

    monkeypatch.setattr(RewardModel, "run", counting)
    run = prepared(tmp_path, ready_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Supervised, "check", die)
        with pytest.raises(Killed):
            benchmark(Supervised(run))
    assert ended(run).exit_code == 0
    assert len(seen) <= 11 + 2


def test_its_scores_stand_beside_another_model_and_say_the_same(
    tmp_path: Path, ready_folder: Path, folder: Path
) -> None:
    first = prepared(tmp_path, ready_folder)
    assert ended(first).exit_code == 0
    shutil.copy(first.outputs / "benchmark/scores.csv", folder / "before.csv")
    shutil.rmtree(first.root)
    run = prepared(tmp_path, ready_folder, scores={"before": "before.csv"})
    assert ended(run).exit_code == 0
    result = read_json(run.outputs / "benchmark/result.json", "reward_benchmark/1")
    ours, before = result["models"]
    assert before["source"] == "scores of before.csv"
    for key in ("VQ", "TA", "Overall"):
        for name in ("accuracy_with_ties", "accuracy_without_ties"):
            assert before["columns"][key][name] == pytest.approx(ours["columns"][key][name])
    assert all(each["accuracy_with_ties"]["difference"] == 0 for each in result["differences"])


def test_a_clip_that_is_not_there_leaves_its_pairs_out_and_is_named(
    tmp_path: Path, ready_folder: Path, folder: Path
) -> None:
    (folder / "videos/clip4.mp4").unlink()
    run = prepared(tmp_path, ready_folder)
    assert ended(run).exit_code == 0
    result = read_json(run.outputs / "benchmark/result.json", "reward_benchmark/1")
    assert result["models"][0]["columns"]["VQ"]["pairs"] == 6
    (note,) = result["notes"]
    assert note.startswith("2 of 11 clips have no score: videos/clip4.mp4: the clip is missing")
    assert "for some of the pairs only" in (run.outputs / "benchmark/table.md").read_text()


def test_no_clip_at_all_is_an_error(tmp_path: Path, ready_folder: Path, folder: Path) -> None:
    shutil.rmtree(folder / "videos")
    outcome = ended(prepared(tmp_path, ready_folder))
    assert outcome.exit_code == ExitCode.BAD_DATA
    assert "none of the 11 clips can be read; 'videos/clip0.mp4': the clip is missing" in (
        outcome.message
    )


@pytest.mark.parametrize(
    "config",
    [
        {"folder": "../../etc"},
        {"file": "../../../../etc/passwd"},
        {"scores": {"x": "../secret.csv"}},
        {"folder": "/etc", "file": "passwd"},
    ],
)
def test_nothing_outside_the_folder_for_imports_is_read(
    tmp_path: Path, ready_folder: Path, folder: Path, config: dict[str, Any]
) -> None:
    outcome = ended(prepared(tmp_path, ready_folder, **config))
    assert outcome.exit_code == ExitCode.BAD_DATA
    assert "leads out of the folder" in outcome.message


def test_frames_of_another_size_are_another_look(
    tmp_path: Path, ready_folder: Path, folder: Path
) -> None:
    """The paper runs GenAI-Bench at 256 x 256, whatever the model was trained with."""
    sizes: set[tuple[int, ...]] = set()
    prepare = RewardModel.prepare

    def noting(self: RewardModel, clips: Sequence[Seen], prompts: Sequence[str]) -> Prepared:
        sizes.update(tuple(each.clips[0].frames.shape[-2:]) for each in clips)
        return prepare(self, clips, prompts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RewardModel, "prepare", noting)
        run = prepared(tmp_path, ready_folder, min_pixels=84 * 84, max_pixels=84 * 84)
        assert ended(run).exit_code == 0
    assert sizes == {(84, 84)}
    assert "of 7056 to 7056 pixels" in (run.outputs / "benchmark/table.md").read_text()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"format": "vbench"}, "format must be one of auto, videogen_rewardbench, genai_bench"),
        ({"file": ""}, "file must be a text, got ''"),
        ({"scores": ["a"]}, "scores must go from a name to a file"),
        ({"scores": {"this model": "a.csv"}}, "two models have the name 'this model'"),
        ({"min_pixels": 0}, "min_pixels must be a whole number, at least 1; got 0"),
    ],
)
def test_a_config_that_cannot_be_is_one_sentence(
    tmp_path: Path, ready_folder: Path, config: dict[str, Any], sentence: str
) -> None:
    outcome = ended(prepared(tmp_path, ready_folder, **config))
    assert outcome.exit_code == ExitCode.BAD_CONFIG
    assert sentence in outcome.message


# The command.


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = door.main(["rewardbench", "--bootstrap", "10", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_command_prints_the_table_of_the_six_real_clips(
    shared: Path, ready_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(
        capsys, "--file", shared / "data/videoalign/example.csv", "--model", ready_folder
    )
    assert code == ExitCode.DONE
    assert "12 pairs, 6 clips under their prompts, 3 prompts" in out
    # Labels of the file: of 12 pairs 4, 8 and 4 are ties.
    assert "| always a tie | 33.33 / 0.00 | 66.67 / 0.00 | 33.33 / 0.00 |" in out
    assert "6 of 6 clips" in err


def test_tables_of_scores_need_no_model(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / "bench.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = dict.fromkeys((row[p], row["prompt"]) for row in rows for p in ("path_A", "path_B"))
    for name in ("one", "two"):
        text = "path,prompt,VQ\n" + "".join(
            f"{path},{prompt},{np.random.default_rng(len(path + name)).normal()}\n"
            for path, prompt in keys
        )
        (tmp_path / f"{name}.csv").write_text(text)
    code, out, _ = call(
        capsys, "--file", folder / "bench.csv",
        "--scores", f"one={tmp_path / 'one.csv'}", "--scores", f"two={tmp_path / 'two.csv'}",
    )  # fmt: skip
    assert code == ExitCode.DONE
    assert "| **one** |" in out
    assert "| one - two | VQ |" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--scores", "x"], "--scores must look like NAME=FILE, got 'x'"),
        ([], "there is neither a reward model nor a table of scores"),
        (["--videos", "/nowhere"], "there is no such folder of videos"),
        (["--scores", "a=x.csv", "--scores", "a=y.csv"], "two tables of scores have the name 'a'"),
    ],
)
def test_a_wrong_call_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    code, out, err = call(capsys, "--file", folder / "bench.csv", *words)
    assert code in (ExitCode.BAD_CONFIG, ExitCode.BAD_DATA)
    assert out == ""
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_a_folder_of_another_models_scores_is_not_gone_on_with(
    tmp_path: Path,
    ready_folder: Path,
    folder: Path,
    backbone_folder: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    from formats.dimensions import VIDEOALIGN
    from tests.models_rm.ready_models import ready_model

    words = ["--file", folder / "bench.csv", "--out", tmp_path / "out", "--model"]
    assert call(capsys, *words, ready_folder)[0] == ExitCode.DONE
    assert (tmp_path / "out/table.md").exists()
    assert "11 of 11" not in call(capsys, *words, ready_folder)[2]  # nothing is scored again
    other = ready_model(tmp_path / "other", backbone_folder("qwen2_vl"), VIDEOALIGN, seed=9)
    code, _, err = call(capsys, *words, other)
    assert code == ExitCode.BAD_CONFIG
    assert "holds the scores of another model, file or size of frames" in err
