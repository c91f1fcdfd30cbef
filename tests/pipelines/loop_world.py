"""A loop played in this process: real rows, files, hashes, Django-bound steps; no training.

What a trainer would leave is made up here (clips of a flat grey, scores from the prompt's hash), so
that pages, reports and lineage are tested in a second.
"""

import functools
import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from annotation.media.bounded import Bounded
from formats.checkpoints import commit_folder
from formats.files import sha256_of
from formats.outcome import Outcome, Output, OutputKind
from formats.records import GenerationRecord, PromptRecord, ScoreRecord, VideoRef
from formats.run_dir import RunDir
from formats.supervised import Supervised

DIMENSIONS = ("VQ", "MQ", "TA")
# How much better the clips of a generator are; the names are those of the loop's candidates.
LIFT = {"Flow-DPO": 0.6, "GAPO": -0.1}


def write_clip(path: Path, shade: int) -> Path:
    """A tiny H.264 clip whose bytes depend on `shade`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_clip(shade))
    return path


@functools.cache
def _clip(shade: int, size: int = 32, frames: int = 4) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            pixels = np.full((size, size, 3), shade % 200, dtype=np.uint8)
            left = shade % 26
            pixels[number * 4 : number * 4 + 6, left : left + 6] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


_answers: dict[tuple[str, str], tuple[dict[str, Any], list[bytes]]] = {}


@contextmanager
def remembered() -> Iterator[None]:
    """A clip whose bytes were taken in before in this process is not decoded again: what the
    bounded child answered and wrote then is taken for the answer. Forty milliseconds a clip."""
    asked = Bounded.ask

    def ask(self: Bounded, task: str, *given: Any, limits: Any) -> dict[str, Any]:
        key = (task, sha256_of(Path(given[0])))
        written = [Path(each) for each in given[1:3]] if task in ("take", "render") else []
        if key not in _answers:
            answer = asked(self, task, *given, limits=limits)
            _answers[key] = answer, [each.read_bytes() for each in written]
        answer, contents = _answers[key]
        for file, content in zip(written, contents, strict=True):
            file.write_bytes(content)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bounded, "ask", ask)
        yield


def number_of(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")


@remembered()
def make_campaign(name: str = "Demo world", pairs: int = 10, user: Any = None) -> Any:
    """A campaign whose triplets are settled by import: half A, a third ties, one invalid."""
    from django.conf import settings

    from annotation.campaigns import create_campaign, ensure_built_in_sets
    from annotation.importing import create_triplets
    from annotation.media.keeping import store_video
    from annotation.models import Consensus, Dimension, Generator, Prompt, Triplet

    ensure_built_in_sets()
    campaign = create_campaign(name, "videoalign", votes_wanted=3, created_by=user)
    generator, _ = Generator.objects.get_or_create(name="world")
    given = []
    for number in range(pairs):
        prompt = Prompt.objects.for_text(f"{name}: prompt {number}")
        clips = [
            store_video(
                write_clip(
                    Path(settings.MEDIA_ROOT) / "incoming" / f"{name}-{number}{side}.mp4",
                    4 * number + 101 * (side == "b"),
                ),
                prompt=prompt,
                generator=generator,
                seed=side == "b",
            )
            for side in "ab"
        ]
        given.append((prompt, *clips))
    triplets = create_triplets(campaign, given)
    dimensions = list(Dimension.objects.filter(dimension_set=campaign.dimension_set))
    words = ("A", "tie", "B", "A", "tie", "A")
    Consensus.objects.bulk_create(
        Consensus(
            triplet=triplet,
            dimension=dimension,
            label="invalid" if number == at == 0 else words[(number + at) % len(words)],
            source="import",
        )
        for number, triplet in enumerate(triplets)
        for at, dimension in enumerate(dimensions)
    )
    Triplet.objects.filter(campaign=campaign).update(state=Triplet.State.COMPLETE)
    return campaign


def base_models() -> dict[str, str]:
    """Two base models by an id of the hub; nobody loads them here."""
    from pipelines.models import BaseModel

    for name, role in (("tiny-vlm", "vlm"), ("tiny-wan", "generator")):
        BaseModel.objects.get_or_create(name=name, defaults={"role": role, "source": f"x/{name}"})
    return {"backbone": "tiny-vlm", "generator": "tiny-wan"}


def loop_config(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Little loop",
        **base_models(),
        "snapshot": {"split": {"train": 0.5, "validation": 0.1, "test": 0.4}},
        "generation_pairs": {"clips_per_prompt": 2},
        "alignments": {"Flow-DPO": {"method": "flow_dpo"}, "GAPO": {"method": "gapo"}},
        "truth_eval": {},
        **changes,
    }


def play(run: Any, leave: Callable[[Any, RunDir], Outcome] | None = None) -> Any:
    """Do the work of one run in this process and register it, as a worker would.

    `leave` does the work of a trainer here, instead of what is made up for all runs of its kind.
    """
    from pipelines import kinds, launching, lifecycle, registering
    from pipelines.models import RunState
    from pipelines.progress import Progress

    run = lifecycle.claim([run.queue], "this test", run_id=run.pk)
    assert run is not None, "the run cannot start yet"
    folder = launching.prepare(run)
    assert lifecycle.move(run, RunState.RUNNING)
    spec = kinds.get(run.kind)
    pretend = leave or PRETEND.get(run.kind)
    outcome = spec.perform(Supervised(folder)) if spec.perform else pretend(run, folder)
    Progress(run, folder).advance()
    folder.finish(outcome)
    assert registering.commit(run, outcome)
    run.refresh_from_db()
    assert run.state == "succeeded", run.message
    return run


def play_all(group: Any) -> None:
    for run in group.runs.order_by("pk"):
        play(run)


def _log(folder: RunDir, steps: int, **curves: float) -> None:
    for step in range(1, steps + 1):
        values = {name: start * 0.97 ** (step - 1) for name, start in curves.items()}
        folder.log_metrics(step, steps, values, stage="training")
    with folder.log_file.open("a", encoding="utf-8") as log:
        log.write("".join(f"step {step}: <b>fine</b>\n" for step in range(1, steps + 1)))


def _reward_model(run: Any, folder: RunDir) -> Outcome:
    _log(folder, 30, **{"loss": 1.09, "accuracy/VQ": 0.6, "accuracy/TA": 0.5})
    sha = commit_folder(folder.outputs / "model", lambda f: _touch(f / "model.json", run.pk))
    test = {
        key: {
            "pairs": 40,
            "decisive": 25,
            "accuracy_without_ties": accuracy,
            "accuracy_without_ties_interval": [accuracy - 0.06, accuracy + 0.05],
            "accuracy_with_ties": accuracy - 0.15,
            "baseline_always_tie": 0.38,
            "human_ceiling_without_ties": 0.901,
        }
        for key, accuracy in zip(DIMENSIONS, (0.88, 0.84, 0.71), strict=True)
    }
    output = Output(OutputKind.REWARD_MODEL, "outputs/model", sha)
    summary = {"steps": 30, "evaluation": {"test": test}, "alarms": ["A black clip is liked."]}
    return Outcome(0, outputs=(output,), summary=summary)


def _touch(path: Path, content: object) -> None:
    path.write_text(f"{content}\n")


def _generation(run: Any, folder: RunDir) -> Outcome:
    prompts = PromptRecord.read(folder.input("prompts"))
    target = folder.outputs / "generations"
    records = []
    for prompt in prompts:
        for seed in range(run.config["clips_per_prompt"]):
            shade = number_of(run.config["generator"], prompt.text, seed)
            name = f"clips/{shade}.mp4"
            clip = write_clip(target / name, shade)
            video = VideoRef(
                str(shade), name, sha256_of(clip), 8.0, 4, run.config["generator"], seed
            )
            measures = {"motion": shade / 2**32}
            records.append(
                GenerationRecord(prompt.id, prompt.text, prompt.split, video, measures=measures)
            )
    sha = GenerationRecord.write(target / "generations.jsonl", records)
    folder.log_metrics(len(records), len(records), stage="sampling")
    output = Output(OutputKind.GENERATIONS, "outputs/generations/generations.jsonl", sha)
    return Outcome(0, outputs=(output,), summary={"clips": len(records)})


def _scoring(run: Any, folder: RunDir) -> Outcome:
    clips = GenerationRecord.read(folder.input("generations"))
    rows = []
    for clip in clips:
        lift = next((value for name, value in LIFT.items() if name in clip.video.generator), 0.0)
        scores = {
            key: lift + number_of(clip.video.sha256, run.kind, key) / 2**32 for key in DIMENSIONS
        }
        rows.append(ScoreRecord(clip.video.id, clip.prompt_id, clip.prompt, scores, scores))
    sha = ScoreRecord.write(folder.outputs / "scores.jsonl", rows)
    return Outcome(0, outputs=(Output(OutputKind.SCORES, "outputs/scores.jsonl", sha),))


def _alignment(run: Any, folder: RunDir) -> Outcome:
    folder.input("pairs")
    _log(folder, 40, loss=0.6931472, grad_norm=2.0)
    sha = commit_folder(folder.outputs / "adapter", lambda f: _touch(f / "adapter.json", run.pk))
    output = Output(OutputKind.ADAPTER, "outputs/adapter", sha)
    return Outcome(0, outputs=(output,), summary={"steps": 40, "loss": 0.21, "z_mean": 1.7})


PRETEND = {
    "reward_model": _reward_model,
    "generation": _generation,
    "scoring": _scoring,
    "truth": _scoring,
    "alignment": _alignment,
}
