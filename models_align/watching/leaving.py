"""The watched clips as a generation set, which a truth or a scoring run takes like any other."""

import uuid
from pathlib import Path

from formats.outcome import Output, OutputKind
from formats.records import GenerationRecord, VideoRef
from models_align.sampling import CLIP_NAMESPACE
from models_align.watching.looks import Look, WatchedClip, read_looks


def generation_set(folder: Path, label: str) -> Output | None:
    """Write generations.jsonl beside the looks; None where there is none.

    The generator of each clip is `<label> step <n>`: the clips of one step are one generator's.
    """
    looks = read_looks(folder)
    if not looks:
        return None
    rows = [_record(look, clip, label) for look in looks for clip in look.clips]
    file = folder / "generations.jsonl"
    sha256 = GenerationRecord.write(file, rows)
    steps = [look.step for look in looks]
    meta = {"clips": len(rows), "generator": label, "watched_steps": steps}
    return Output(OutputKind.GENERATIONS, f"outputs/{folder.name}/{file.name}", sha256, meta)


def _record(look: Look, clip: WatchedClip, label: str) -> GenerationRecord:
    key = f"{clip.prompt_id}/{clip.seed}/{clip.sha256}"
    video = VideoRef(
        id=str(uuid.uuid5(CLIP_NAMESPACE, key)),
        path=f"clips/{clip.name}.mp4",
        sha256=clip.sha256,
        fps=clip.fps,
        num_frames=clip.num_frames,
        generator=f"{label} step {look.step}",
        seed=clip.seed,
    )
    return GenerationRecord(
        clip.prompt_id, clip.prompt, clip.split, video, image=clip.image, measures=clip.measures
    )
