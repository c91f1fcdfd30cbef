"""Scores of clips that are registered here, as a reward model leaves them, without one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from formats.records import GenerationRecord, ScoreRecord, VideoRef

KEYS = ("VQ", "MQ", "TA")
Clips = dict[int, tuple[float, float]]  # seed -> reward and deviation, the same on all dimensions


def artifact(kind: str, write: Callable[[Path], str] | None = None, **meta: Any) -> Any:
    from pipelines.models import Artifact, Run, RunState

    run = Run.objects.create(kind=kind, config={}, config_sha="", state=RunState.SUCCEEDED)
    path = f"{run.pk}/outputs/{kind}.jsonl"
    file = Path(settings.RUNS_ROOT) / path
    file.parent.mkdir(parents=True)
    sha256 = write(file) if write else "0" * 64
    return Artifact.objects.create(run=run, kind=kind, path=path, sha256=sha256, meta=meta)


def score_set(
    clips: Clips,
    *,
    std: bool = True,
    theta: dict[str, float] | None = None,
    stored: bool = True,
    split: str = "test",
    generations: Any = None,
) -> Any:
    """Scores of clips of one prompt; one more could not be read. `generations`: those of an earlier
    set, so that both are of the same clips."""
    from pipelines.models import RunInput

    refs = {
        n: VideoRef(f"v{n}", f"{n}.mp4", f"{n:064x}", 8.0, 9, "new generator", n) for n in clips
    }
    if stored:
        _register(refs)
    made = [GenerationRecord("p", "a cat", split, ref) for ref in refs.values()]
    rows = [
        ScoreRecord(
            f"v{n}", "p", "a cat", raw=dict.fromkeys(KEYS, reward),
            score=dict.fromkeys(KEYS, reward), std=dict.fromkeys(KEYS, sure) if std else {},
        )
        for n, (reward, sure) in clips.items()
    ]  # fmt: skip
    rows.append(ScoreRecord("gone", "p", "a cat", error="unreadable"))
    scores = artifact("scores", lambda file: ScoreRecord.write(file, rows), reward_model="0" * 64)
    given = dict.fromkeys(KEYS, 5.0) if theta is None else theta
    inputs = {
        "reward_model": artifact("reward_model", theta=given),
        "generations": generations
        or artifact("generations", lambda file: GenerationRecord.write(file, made)),
    }
    for role, each in inputs.items():
        RunInput.objects.create(run=scores.run, role=role, artifact=each)
    return scores


def _register(refs: dict[int, VideoRef]) -> None:
    from annotation.models import Generator, Prompt, Video

    prompt = Prompt.objects.for_text("a cat")
    maker, _ = Generator.objects.get_or_create(name="new generator")
    Video.objects.bulk_create(
        Video(
            prompt=prompt, generator=maker, seed=n, file=ref.path, sha256=ref.sha256,
            original_path=ref.path, fps=8, num_frames=9, width=64, height=64, duration=1,
        )
        for n, ref in refs.items()
    )  # fmt: skip
