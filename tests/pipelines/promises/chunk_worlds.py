"""Small sets for the three kinds that fan out, each with what its gathered result must be."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from annotation.models import Video
from formats.files import read_json, sha256_of
from formats.records import GenerationRecord, PromptRecord, ScoreRecord, VideoRef
from pipelines.ingests.ingesting import INGEST
from pipelines.models import Artifact, BaseModel, Run, RunState
from pipelines.registry import path_of
from pipelines.starting import start_run
from tests.annotation import hostile_media as hostile

Check = Callable[[Run], int]  # looks at the gathered result, gives how many things it holds


def ingest(settings: Any, chunks: int) -> tuple[Run, Check]:
    """A folder of clips, some of them twice."""
    many = 4 * chunks
    folder = Path(settings.MEDIA_ROOT) / "incoming" / "batch"
    folder.mkdir(parents=True)
    first = hostile.clip(folder / "0.mp4")
    for number in range(1, many):
        copy = number % 4 == 3
        shutil.copy(first, folder / f"{number}.mp4") if copy else hostile.clip(
            folder / f"{number}.mp4", frames=6 + number
        )
    config = {"folder": "batch", "prompt": "a red square", "processes": 1, "chunks": chunks}

    def check(whole: Run) -> int:
        report = read_json(path_of(whole.artifacts.get()), INGEST)
        assert [row["file"] for row in report["files"]] == sorted(
            f"{number}.mp4" for number in range(many)
        )
        assert report["counts"]["taken"] == many
        assert report["counts"]["known before"] == 0
        different = len({row["sha256"] for row in report["files"]})
        assert Video.objects.count() == different
        return many

    return start_run("ingest", config, user=None), check


def generation(settings: Any, chunks: int) -> tuple[Run, Check]:
    """A tiny generator and some prompts."""
    from models_align.generators.tiny import build

    folder = Path(settings.RUNS_ROOT) / "tiny-wan"
    build("wan-2.1-t2v").save_pretrained(str(folder))
    row = BaseModel.objects.create(name="tiny", role="generator", source=str(folder))
    prompts = [PromptRecord(f"p{n}", f"a red circle moving {n}") for n in range(2 * chunks)]
    config = {"steps": 2, "guidance_scale": 1.0, "height": 64, "width": 64, "num_frames": 9,
              "fps": 8, "clips_per_prompt": 2, "generator": "tiny", "chunks": chunks}  # fmt: skip
    files = {"prompts": prompts}
    run = start_run("generation", config, {"generator": row}, user=None, files=files)

    def check(whole: Run) -> int:
        listed = path_of(whole.artifacts.get())
        records = GenerationRecord.read(listed)
        wanted = [(prompt.id, seed) for prompt in prompts for seed in (0, 1)]
        assert [(each.prompt_id, each.video.seed) for each in records] == wanted
        for each in records:
            assert sha256_of(listed.parent / each.video.path) == each.video.sha256
        assert Video.objects.count() == len(wanted)
        return len(wanted)

    return run, check


def scoring(settings: Any, chunks: int) -> tuple[Run, Check]:
    """A reward model that nobody trained, and clips under several prompts."""
    from demo.tiny_tokenizer import tiny_tokenizer
    from demo.tiny_vlm import tiny_vlm
    from formats.dimensions import VIDEOALIGN
    from tests.models_rm.conftest import CORPUS, SMALL
    from tests.models_rm.ready_models import ready_model

    root = Path(settings.RUNS_ROOT)
    tokenizer = tiny_tokenizer(CORPUS, vocabulary=300)
    tiny_vlm("qwen2_vl", tokenizer, size=SMALL).save_pretrained(root / "vlm")
    tokenizer.save_pretrained(root / "vlm")
    maker = Run.objects.create(kind="made", config={}, config_sha="", state=RunState.SUCCEEDED)
    model = ready_model(root / str(maker.pk) / "judge", root / "vlm", VIDEOALIGN)
    records = []
    for number in range(4 * chunks):
        clip = hostile.clip(root / str(maker.pk) / f"{number}.mp4", frames=6 + number % 5)
        ref = VideoRef(f"clip{number}", clip.name, sha256_of(clip), 8.0, 6 + number % 5)
        prompt = number % 3
        records.append(GenerationRecord(f"p{prompt}", f"prompt {prompt}", "train", ref))
    sha256 = GenerationRecord.write(root / str(maker.pk) / "g.jsonl", records)
    judge = Artifact.objects.create(
        kind="reward_model", run=maker, path=f"{maker.pk}/judge",
        sha256=sha256_of(model / "manifest.json"),
    )  # fmt: skip
    clips = Artifact.objects.create(
        kind="generations", run=maker, path=f"{maker.pk}/g.jsonl", sha256=sha256
    )
    inputs = {"reward_model": judge, "generations": clips}
    run = start_run("scoring", {"chunks": chunks, "part_clips": 1}, inputs, user=None)

    def check(whole: Run) -> int:
        rows = ScoreRecord.read(path_of(whole.artifacts.get()))
        wanted = [(each.video.id, each.prompt) for each in records]
        assert [(row.video_id, row.prompt) for row in rows] == wanted
        assert not any(row.error for row in rows)
        return len(rows)

    return run, check


WORLDS: dict[str, Callable[[Any, int], tuple[Run, Check]]] = {
    "ingest": ingest,
    "generation": generation,
    "scoring": scoring,
}
