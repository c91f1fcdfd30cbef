"""`python -m models_align gather RUN_DIR`: the clips of all chunks as one set, in its order.

Needs no torch and decodes no clip: the files get a second name in this run's folder where the disk
allows it, and are copied where it does not. Whoever reads a clip checks its hash.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from formats.chunks import chunk_inputs
from formats.errors import FormatError
from formats.files import below
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, PromptRecord
from formats.run_dir import RunDir
from formats.supervised import Supervised
from models_align.config import GatheringConfig

FOLDER: Final = "generations"
_TELL_EVERY: Final = 100
Key = tuple[str, str, str, int | None]  # prompt id, prompt, sha256 of its image, seed


def gather(run: Supervised) -> Outcome:
    """One generation set of the inputs `generations:0`, `generations:1` …"""
    config = GatheringConfig.from_json(run.dir.config())
    wanted = _wanted(run.dir, config)
    found = _found(chunk_inputs(run.dir, "generations", config.chunks), wanted)
    folder = run.dir.outputs / FOLDER
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    for left in (folder / "clips").glob("*.tmp"):
        left.unlink()  # by an attempt that was killed
    records = []
    for number, key in enumerate(wanted, start=1):
        run.check()
        records.append(_brought(*found[key], folder))
        if number % _TELL_EVERY == 0 or number == len(wanted):
            run.dir.log_metrics(number, len(wanted), {"clips": number}, stage="gathered")
    file = folder / "generations.jsonl"
    sha256 = GenerationRecord.write(file, records)
    generator = next((each.video.generator for each in records), "")
    meta = {"clips": len(records), "generator": generator, "seed": config.seed}
    output = Output(OutputKind.GENERATIONS, file.relative_to(run.dir.root).as_posix(), sha256, meta)
    message = f"gathered {len(records)} clips of {config.chunks} chunks"
    summary = {"chunks": config.chunks, "clips": len(records)}
    return Outcome(ExitCode.DONE, "done", message, (output,), summary)


def _wanted(run: RunDir, config: GatheringConfig) -> list[Key]:
    """Every clip of the set, in the order in which one run would have made them."""
    seeds = range(config.seed, config.seed + config.clips_per_prompt)
    prompts = PromptRecord.read(run.input("prompts"))
    images = [each.image.sha256 if each.image else "" for each in prompts]
    return [
        (prompt.id, prompt.text, image, seed)
        for prompt, image in zip(prompts, images, strict=True)
        for seed in seeds
    ]


def _found(chunks: list[Path], wanted: list[Key]) -> Mapping[Key, tuple[GenerationRecord, Path]]:
    """Each clip of the set once, with the folder it lies in."""
    asked, found = set(wanted), dict[Key, tuple[GenerationRecord, Path]]()
    for path in chunks:
        for line, record in enumerate(GenerationRecord.read(path), start=2):
            image = record.image.sha256 if record.image else ""
            key = (record.prompt_id, record.prompt, image, record.video.seed)
            fault = "was not asked for" if key not in asked else "is there twice"
            if key not in asked or key in found:
                what = f"the clip of prompt {key[0]!r} with seed {key[3]}"
                raise FormatError(f"{what} {fault}", path=path, line=line)
            found[key] = record, path.parent
    missing = [key for key in wanted if key not in found]
    if missing:
        raise FormatError(
            f"{len(missing)} of {len(wanted)} clips are missing, that of prompt {missing[0][0]!r} "
            f"with seed {missing[0][3]} first"
        )
    return found


def _brought(record: GenerationRecord, source: Path, folder: Path) -> GenerationRecord:
    """The same clip, lying in this folder."""
    clip = below(source, record.video.path)
    if not clip.is_file():
        raise FormatError(f"the clip {record.video.id!r} is missing", path=clip)
    target = folder / "clips" / clip.name
    if not target.exists():
        own = target.with_suffix(".tmp")
        own.unlink(missing_ok=True)
        _second_name(clip, own)
        own.replace(target)
    return replace(record, video=replace(record.video, path=f"clips/{clip.name}"))


def _second_name(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except OSError:  # another disk, or one without links
        shutil.copyfile(file, name)
