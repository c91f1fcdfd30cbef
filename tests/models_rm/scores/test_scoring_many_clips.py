"""Many clips: decoded ahead, batched by length, each (video, prompt) once, killed and resumed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from formats.files import sha256_of
from formats.outcome import ExitCode
from formats.records import GenerationRecord, ScoreRecord, VideoRef
from formats.run_dir import Input, RunDir
from formats.supervised import Supervised, supervise
from models_rm.clips.video import Clip
from models_rm.errors import ClipUnreadableError, FrameRateError
from models_rm.reward_models.lanes import Lanes
from models_rm.reward_models.members import Judged, Prepared, Seen
from models_rm.reward_models.streaming import Limits, Task, stream
from models_rm.scores import run as scoring_run
from models_rm.scores.parts import Parts
from models_rm.scoring import FrameRateWarning, RewardModel, total
from tests.models_rm.conftest import write_clip

Media = tuple[Path, list[VideoRef]]


class FakeModel:
    """Rewards from the name of a clip; notes what it was asked. A name `bad…` cannot be read."""

    lanes = 1
    batch_tokens = 10**6

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.reading: set[str] = set()

    def read(self, video: Any, **_rest: Any) -> Seen:
        self.reading.add(threading.current_thread().name)
        if str(video).startswith("bad"):
            raise ClipUnreadableError("the clip is missing", path=video)
        length = int(str(video).rpartition("-")[2])
        frames = np.full((length, 1, 1, 1), int(str(video).partition("-")[0]), dtype=np.uint8)
        return Seen((Clip(frames, 8.0),))  # type: ignore[arg-type]

    def prepare(self, seen: Sequence[Seen], prompts: Sequence[str]) -> Any:
        return seen

    def run(self, seen: Any) -> Judged:
        self.batches.append([str(len(each.clips[0].frames)) for each in seen])
        values = [[float(each.clips[0].frames[0, 0, 0, 0])] for each in seen]
        return Judged(np.array(values), None)

    def tokens(self, seen: Seen) -> int:
        return len(seen.clips[0].frames)

    def is_slow(self, seen: Seen) -> bool:
        return False


def scored(model: FakeModel, names: Sequence[str], **limits: int) -> dict[int, float | None]:
    found: dict[int, float | None] = {}
    for batch in stream(model, [Task(name, "x") for name in names], Limits(**limits)):
        for each in batch:
            assert each.row not in found, "twice"
            found[each.row] = None if each.reward is None else float(each.reward[0])
    return found


def test_each_clip_gets_its_own_reward_whatever_the_order_of_the_batches() -> None:
    names = [f"{number}-{(number * 7) % 13 + 1}" for number in range(50)]
    found = scored(FakeModel(), names, batch_size=4)
    assert [found[row] for row in range(50)] == [float(number) for number in range(50)]


def test_clips_of_one_length_stand_together() -> None:
    model = FakeModel()
    scored(model, ["1-3", "2-9", "3-3", "4-9"], batch_size=2)
    assert model.batches == [["3", "3"], ["9", "9"]]


def test_a_batch_holds_no_more_tokens_than_it_may_but_one_clip_always() -> None:
    model = FakeModel()
    scored(model, ["1-10", "2-10", "3-10", "4-90"], batch_size=8, batch_tokens=25)
    assert model.batches == [["10", "10"], ["10"], ["90"]]


def test_an_unreadable_clip_is_told_and_the_others_go_on() -> None:
    assert scored(FakeModel(), ["1-2", "bad", "3-2"]) == {0: 1.0, 1: None, 2: 3.0}


def test_nothing_is_nothing() -> None:
    assert scored(FakeModel(), []) == {}


def test_clips_are_decoded_and_prepared_while_the_network_computes() -> None:
    """A forward ends only when further clips were decoded and the next batch was prepared."""
    started, decoded, prepared = threading.Event(), threading.Event(), threading.Event()

    class Waiting(FakeModel):
        def read(self, video: Any, **rest: Any) -> Seen:
            if str(video).startswith("2"):  # behind the first window, which has two clips
                assert started.wait(10), "the first forward waits for clips behind its window"
                decoded.set()
            return super().read(video, **rest)

        def prepare(self, seen: Sequence[Seen], prompts: Sequence[str]) -> Any:
            if str(seen[0].clips[0].frames[0, 0, 0, 0]) == "1":
                prepared.set()  # the second batch
            return super().prepare(seen, prompts)

        def run(self, seen: Any) -> Judged:
            started.set()
            assert decoded.wait(10), "nothing was decoded during the forward"
            assert prepared.wait(10), "nothing was prepared during the forward"
            return super().run(seen)

    model = Waiting()
    names = [f"{n}-1" for n in range(10)]
    assert len(scored(model, names, batch_size=1, readers=1)) == 10
    assert all(name.startswith("reader") for name in model.reading)


def test_two_lanes_judge_two_batches_at_once() -> None:
    at_once = threading.Barrier(2)

    class Meeting(FakeModel):
        lanes = 2

        def run(self, seen: Any) -> Judged:
            at_once.wait(10)
            return super().run(seen)

    assert len(scored(Meeting(), [f"{n}-1" for n in range(8)], batch_size=1)) == 8


def test_lanes_share_the_threads_and_give_them_back() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with Lanes(2) as lanes:
            inside = [lanes.submit(lambda _: torch.get_num_threads(), n) for n in range(2)]
            assert {each.result() for each in inside} == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_an_error_of_a_lane_ends_the_scoring() -> None:
    class Broken(FakeModel):
        lanes = 2

        def run(self, seen: Any) -> Judged:
            raise ValueError("not a finite number")

    before = threading.active_count()
    with pytest.raises(ValueError, match="not a finite number"):
        scored(Broken(), [f"{n}-1" for n in range(20)], batch_size=1)
    assert threading.active_count() == before


def test_a_model_may_want_smaller_batches_than_it_is_given() -> None:
    model = FakeModel()
    model.batch_tokens = 6
    scored(model, [f"{n}-2" for n in range(9)], batch_size=9, batch_tokens=100)
    assert [len(each) for each in model.batches] == [3, 3, 3]


def test_stopping_early_ends_the_readers() -> None:
    before = threading.active_count()
    batches = stream(FakeModel(), [Task(f"{n}-1", "x") for n in range(99)], Limits(batch_size=1))
    next(batches)
    batches.close()
    assert threading.active_count() == before


# Parts.


def record(name: str, value: float = 1.0) -> ScoreRecord:
    return ScoreRecord(name, "p", "a prompt", {"VQ": value}, {"VQ": value})


def parts(folder: Path, fence: int = 1, clips: int = 2, seconds: float = 60.0) -> Parts:
    return Parts(folder, fence, clips=clips, seconds=seconds)


def test_what_is_in_a_part_is_there_after_a_kill_and_the_rest_is_not(tmp_path: Path) -> None:
    first = parts(tmp_path)
    first.add([record("a"), record("b")])
    first.add([record("c")])  # a part that was not full when the process died
    assert {key[0] for key in parts(tmp_path, fence=2).read(print)} == {"a", "b"}


def test_a_part_is_written_when_it_is_old_enough(tmp_path: Path) -> None:
    parts(tmp_path, clips=1000, seconds=1e-9).add([record("a")])
    assert len(parts(tmp_path).read(print)) == 1


def test_a_damaged_part_is_told_and_scored_again(tmp_path: Path) -> None:
    parts(tmp_path).add([record("a"), record("b")])
    (file,) = tmp_path.glob("*.jsonl")
    file.write_bytes(file.read_bytes()[:-20])
    told: list[str] = []
    assert parts(tmp_path).read(told.append) == {}
    assert "its clips are scored again" in told[0]
    parts(tmp_path).add([record("a"), record("b")])
    assert len(parts(tmp_path).read(told.append)) == 2
    assert len(told) == 1


def test_what_two_attempts_scored_counts_once(tmp_path: Path) -> None:
    parts(tmp_path, fence=1).add([record("a", 1.0), record("b")])
    parts(tmp_path, fence=2).add([record("a", 9.0), record("c")])
    found = parts(tmp_path, fence=3).read(print)
    assert sorted(key[0] for key in found) == ["a", "b", "c"]
    assert found["a", "a prompt"].raw == {"VQ": 1.0}


# The run.


@pytest.fixture
def scoring(tmp_path: Path, ready_folder: Path, media: Media) -> Callable[..., RunDir]:
    """A prepared scoring run: eight clips under two prompts."""

    def make(name: str = "scoring", **config: Any) -> RunDir:
        folder, clips = media
        records = [
            GenerationRecord(f"id {prompt}", prompt, "test", clip)
            for clip in clips
            for prompt in ("a circle", "a square")
        ]
        file = folder / f"{name}.jsonl"
        sha256 = GenerationRecord.write(file, records)
        run = RunDir(tmp_path / name)
        inputs = {
            "reward_model": Input(str(ready_folder), sha256_of(ready_folder / "manifest.json")),
            "generations": Input(str(file), sha256),
        }
        run.prepare({"batch_size": 2, "part_clips": 2, "threads": 1, **config}, inputs)
        return run

    return make


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each prompt went through the network, over all attempts of a test."""
    counts: Counter[str] = Counter()
    run = RewardModel.run

    def counting(self: RewardModel, prepared: Prepared) -> Judged:
        counts.update(prepared.prompts)
        return run(self, prepared)

    monkeypatch.setattr(RewardModel, "run", counting)
    return counts


def killed_and_resumed(run: RunDir, judged: Counter[str], kill_at: int = 6) -> None:
    """The process dies in the middle; the next attempt goes on. Then what must be true."""

    class Killed(BaseException):
        pass

    def die(self: Supervised) -> None:  # asked for after each batch
        if sum(judged.values()) >= kill_at:
            raise Killed  # as SIGKILL: nothing is saved

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Supervised, "stop_reason", die)
        with pytest.raises(Killed):
            scoring_run.score(Supervised(run))
    assert supervise(scoring_run.score, run) == 0
    rows = ScoreRecord.read(run.outputs / "scores.jsonl")
    assert len(rows) == len({(row.video_id, row.prompt) for row in rows}) == 16, "each once"
    assert sum(judged.values()) <= 16 + 2, "what was safe is not scored again"


def test_a_killed_run_goes_on_behind_its_last_part(
    scoring: Callable[..., RunDir], judged: Counter[str]
) -> None:
    killed_and_resumed(scoring(), judged)


def test_a_mutant_that_forgets_the_parts_is_found_out(
    scoring: Callable[..., RunDir], judged: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Parts.read
    monkeypatch.setattr(
        Parts, "read", lambda self, report: read(self, report) if judged["a square"] > 7 else {}
    )
    with pytest.raises(AssertionError, match="what was safe is not scored again"):
        killed_and_resumed(scoring(), judged)


def test_a_mutant_that_writes_twice_is_found_out(
    scoring: Callable[..., RunDir], judged: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ScoreRecord.write.__func__  # type: ignore[attr-defined]

    def doubled(cls: Any, path: Path, rows: Any) -> str:
        rows = list(rows)
        return str(write(cls, path, [*rows, rows[0]] if path.name == "scores.jsonl" else rows))

    monkeypatch.setattr(ScoreRecord, "write", classmethod(doubled))
    with pytest.raises(AssertionError, match="each once"):
        killed_and_resumed(scoring(), judged)


def test_a_run_that_is_asked_to_pause_keeps_everything(
    scoring: Callable[..., RunDir], judged: Counter[str]
) -> None:
    run = scoring(part_clips=1000, part_seconds=1000.0)
    run.write_want("pause")
    assert supervise(scoring_run.score, run) == ExitCode.RUN_ME_AGAIN
    assert sum(judged.values()) == 2
    run.write_want("run")
    assert supervise(scoring_run.score, run) == 0
    assert sum(judged.values()) == 16


@pytest.mark.faults
def test_a_process_that_is_killed_for_good_goes_on(scoring: Callable[..., RunDir]) -> None:
    run = scoring(batch_size=1, part_clips=1)
    command = [sys.executable, "-I", "-m", "models_rm", "score", str(run.root)]
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not list((run.root / "parts").glob("*.jsonl")):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    safe = {path.name for path in (run.root / "parts").glob("*.jsonl")}
    assert run.outcome() is None
    assert supervise(scoring_run.score, run) == 0
    assert safe <= {path.name for path in (run.root / "parts").glob("*.jsonl")}
    assert len(ScoreRecord.read(run.outputs / "scores.jsonl")) == 16


def test_chunks_together_are_the_whole(scoring: Callable[..., RunDir]) -> None:
    whole = scoring("whole")
    assert supervise(scoring_run.score, whole) == 0
    expected = {
        (row.video_id, row.prompt): row.raw
        for row in ScoreRecord.read(whole.outputs / "scores.jsonl")
    }
    found: dict[tuple[str, str], dict[str, float]] = {}
    for chunk in range(3):
        run = scoring(f"chunk{chunk}", chunks=3, chunk=chunk)
        assert supervise(scoring_run.score, run) == 0
        for row in ScoreRecord.read(run.outputs / "scores.jsonl"):
            assert (row.video_id, row.prompt) not in found
            found[row.video_id, row.prompt] = row.raw
    assert found.keys() == expected.keys()
    for key, raw in found.items():
        assert raw == pytest.approx(expected[key], abs=1e-5)


def test_the_same_file_under_two_prompts_has_two_text_scores_and_one_quality(
    scoring: Callable[..., RunDir],
) -> None:
    run = scoring()
    assert supervise(scoring_run.score, run) == 0
    first, second, *_ = ScoreRecord.read(run.outputs / "scores.jsonl")
    assert first.video_id == second.video_id
    assert first.raw["VQ"] == pytest.approx(second.raw["VQ"], abs=1e-5)
    assert first.raw["TA"] != pytest.approx(second.raw["TA"], abs=1e-5)


def test_progress_tells_clips_per_second(scoring: Callable[..., RunDir]) -> None:
    run = scoring()
    supervise(scoring_run.score, run)
    lines, _ = run.metrics_from(0)
    assert (lines[-1].step, lines[-1].total) == (16, 16)
    assert lines[-1].values["clips_per_second"] > 0


def test_two_clips_of_one_name_are_refused(
    tmp_path: Path, scoring: Callable[..., RunDir], media: Media
) -> None:
    run = scoring()
    file = Path(run.input("generations"))
    rows = GenerationRecord.read(file)
    other = VideoRef(rows[0].video.id, "another.mp4", "f" * 64, 8.0, 9)
    sha256 = GenerationRecord.write(file, [*rows, GenerationRecord("x", "a circle", "test", other)])
    run.prepare(
        run.config(),
        {
            "reward_model": Input(str(run.input("reward_model"))),
            "generations": Input(str(file), sha256),
        },
    )
    assert supervise(scoring_run.score, run) == ExitCode.BAD_DATA
    assert "two clips are named 'clip0'" in run.outcome().message  # type: ignore[union-attr]


# Frame rates.


@pytest.fixture(scope="module")
def model(ready_folder: Path) -> RewardModel:
    return RewardModel.load(ready_folder)


def test_arrays_that_come_slower_than_the_training_are_refused(model: RewardModel) -> None:
    frames = np.zeros((8, 56, 56, 3), dtype=np.uint8)
    with pytest.raises(FrameRateError, match="frames at 2 per second cannot stand for the 8"):
        model.score(["x"], [frames], fps=2.0)


def test_arrays_that_come_faster_are_sampled_as_a_file_is(model: RewardModel) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (24, 56, 56, 3), dtype=np.uint8)
    taken = frames[[round(index) for index in np.linspace(0, 23, 8)]]
    # 24 frames at 24 per second are one second: eight of them.
    assert model.score(["x"], [frames], raw=True, fps=24.0)["VQ"] == pytest.approx(
        model.score(["x"], [taken], raw=True)["VQ"], abs=1e-5
    )


def test_a_file_that_is_slower_than_the_training_is_told(
    model: RewardModel, tmp_path: Path
) -> None:
    write_clip(tmp_path / "slow.mp4", np.zeros((8, 64, 64, 3), dtype=np.uint8), fps=2)
    with pytest.warns(FrameRateWarning, match="slow.mp4 has fewer frames per second"):
        model.score(["x"], [tmp_path / "slow.mp4"])


def test_frames_come_from_a_cache_that_the_site_shares(
    ready_folder: Path, media: Media, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scoring_run.shared_cache(64) is None
    monkeypatch.setenv("TIEBREAK_FRAME_CACHE", str(tmp_path / "frames"))
    model = RewardModel.load(ready_folder)
    model.cache = cache = scoring_run.shared_cache(64)
    assert cache is not None
    clip = media[1][0]
    first = model.read(media[0] / clip.path, sha256=clip.sha256)
    again = model.read(media[0] / clip.path, sha256=clip.sha256)
    assert (cache.misses, cache.hits) == (1, 1)
    assert bool((first.clips[0].frames == again.clips[0].frames).all())
    with pytest.raises(ClipUnreadableError):
        model.read(media[0] / clip.path, sha256="0" * 64)  # another file than the record says


def test_the_total_is_a_mean_with_equal_weights_unless_others_are_given() -> None:
    assert total({"VQ": 1.0, "MQ": 2.0, "TA": 6.0}) == 3.0
    assert total({"VQ": 1.0, "MQ": 2.0, "TA": 6.0}, {"TA": 3, "VQ": 1}) == pytest.approx(4.75)
