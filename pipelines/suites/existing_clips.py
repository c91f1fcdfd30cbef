"""Clips that are here already, as the generation set of a suite (run kind `existing_clips`).

They are those of one generator that the site knows, those that an import has just taken in, or a
part of an earlier set. What is missing is named; rates, lengths and sizes are counted, so that a
comparison knows of them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from annotation.errors import MediaError
from annotation.media.storage import bring
from annotation.models import Generator
from formats.errors import FormatError
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, PromptRecord
from formats.supervised import Supervised
from pipelines.errors import InvalidRunConfig
from pipelines.footage import kinds_of, sizes_of
from pipelines.generations import FILE
from pipelines.step_configs import StepConfig, one_of, require, whole
from pipelines.suites.clips_here import (
    ByPrompt,
    Here,
    key_of_prompt,
    of_generator,
    of_import,
    of_set,
    some_of,
)

KIND: Final = "existing_clips"
REFUSE: Final = "refuse"
LEAVE_OUT: Final = "leave out"


@dataclass(frozen=True, slots=True)
class ExistingClipsConfig(StepConfig):
    """`generator`: the name under which the clips are known here; with an import as input, the name
    that its clips carry, or nothing. `clips_per_prompt`: 0 takes all that there are. `missing`:
    what becomes of prompts that have fewer.
    """

    generator: str = ""
    clips_per_prompt: int = 0
    missing: str = REFUSE

    def __post_init__(self) -> None:
        require(isinstance(self.generator, str), "generator", "a name", self.generator)
        whole("clips_per_prompt", self.clips_per_prompt, low=0)
        one_of("missing", self.missing, (REFUSE, LEAVE_OUT))


def fits(config: Mapping[str, Any], roles: Mapping[str, object]) -> None:
    """Clips come from a generator by its name, from an import, or from an earlier set."""
    if "ingest" in roles and "generations" in roles:
        raise InvalidRunConfig("clips come from an import or from an earlier set, not from both")
    if "ingest" in roles or "generations" in roles:
        return
    if not config["generator"]:
        raise InvalidRunConfig(
            "say whose clips: a generator by its name, an import as the input ingest, or an"
            " earlier set as the input generations"
        )
    if not Generator.objects.filter(name=config["generator"]).exists():
        raise InvalidRunConfig(
            f"no clip here is of a generator named {config['generator'][:120]!r}; import its clips"
            " first, or correct the name"
        )


def perform(run: Supervised) -> Outcome:
    """Find the clips of the prompts, bring them together, say what they are."""
    config = ExistingClipsConfig.from_json(run.dir.config())
    prompts = PromptRecord.read(run.dir.input("prompts"))
    found = _found(run, prompts, config)
    chosen, missing = chosen_clips(prompts, found, config)
    target = run.dir.outputs / "generations"
    records = _brought(run, chosen, target)
    sha256 = GenerationRecord.write(target / FILE, records)
    summary = _summary(records, missing, [clip for _, _, clip in chosen])
    output = Output(OutputKind.GENERATIONS, f"outputs/generations/{FILE}", sha256, summary)
    message = "; ".join(summary["warnings"])
    return Outcome(ExitCode.DONE, message=message, outputs=(output,), summary=summary)


def _found(
    run: Supervised, prompts: Sequence[PromptRecord], config: ExistingClipsConfig
) -> ByPrompt:
    if run.dir.has_input("generations"):
        return of_set(run.dir.input("generations"))
    if run.dir.has_input("ingest"):
        return of_import(run.dir.input("ingest"), prompts)
    return of_generator(prompts, config.generator)


# Which of them are taken, and under which seed.

Chosen = tuple[PromptRecord, int, Here]


def chosen_clips(
    prompts: Sequence[PromptRecord], found: ByPrompt, config: ExistingClipsConfig
) -> tuple[list[Chosen], list[str]]:
    """(prompt, seed, clip), and what is missing; FormatError where that is not allowed."""
    by_prompt = [(prompt, found.get(key_of_prompt(prompt), [])) for prompt in prompts]
    most = max((len(clips) for _, clips in by_prompt), default=0)
    wanted = config.clips_per_prompt or most or 1
    missing = [
        f"{prompt.id} ({prompt.text[:40]!r}): {len(clips)} of {wanted}"
        for prompt, clips in by_prompt
        if len(clips) < wanted
    ]
    if not most or (missing and config.missing == REFUSE):
        raise FormatError(
            f"clips are missing for {len(missing)} of {len(prompts)} prompts: {some_of(missing)}; "
            f"bring them, or set missing to {LEAVE_OUT!r}"
        )
    chosen = [
        (prompt, seed, clip)
        for prompt, clips in by_prompt
        for seed, clip in _seeded(prompt, clips)[:wanted]
    ]
    return chosen, missing


def _seeded(prompt: PromptRecord, clips: Sequence[Here]) -> list[tuple[int, Here]]:
    """Each clip with its seed; clips without seeds are numbered, so that sides find each other."""
    seeds = [clip.video.seed for clip in clips]
    if None in seeds and any(seed is not None for seed in seeds):
        raise FormatError(
            f"some clips of prompt {prompt.id} have a seed and some have none, so nobody can tell"
            " which of base and candidate belong together; give all of them one"
        )
    twice = [seed for seed, count in Counter(seeds).items() if count > 1 and seed is not None]
    if twice:
        raise FormatError(f"two clips of prompt {prompt.id} have the seed {twice[0]}")
    return [
        (number if seed is None else seed, clip)
        for number, (seed, clip) in enumerate(zip(seeds, clips, strict=True))
    ]


# Bringing them together.


def _brought(run: Supervised, chosen: Sequence[Chosen], target: Path) -> list[GenerationRecord]:
    """Beside their list; all that are not there any more are named at once."""
    (target / "clips").mkdir(parents=True, exist_ok=True)
    records, gone = [], []
    for number, (prompt, seed, clip) in enumerate(chosen, start=1):
        run.check()
        name = f"clips/{clip.video.sha256}.mp4"
        try:
            bring(clip.fetched(), target / name)
        except (MediaError, OSError) as error:
            gone.append(f"{clip.name} of {prompt.id} ({error})")
        video = replace(clip.video, path=name, seed=seed)
        records.append(
            GenerationRecord(prompt.id, prompt.text, prompt.split, video, prompt.image,
                             clip.measures)
        )  # fmt: skip
        if number % 100 == 0 or number == len(chosen):
            run.dir.log_metrics(number, len(chosen), {"missing": len(gone)}, stage="clips")
    if gone:
        raise FormatError(f"{len(gone)} clips are not there any more: {some_of(gone)}")
    return records


def _summary(
    records: Sequence[GenerationRecord], missing: Sequence[str], clips: Sequence[Here]
) -> dict[str, Any]:
    kinds = kinds_of(records, sizes_of(records))
    warnings = [
        f"{what}: {', '.join(f'{count} at {name}' for name, count in kinds[key].items())}"
        for key, what in (("fps", "mixed frame rates"), ("size", "mixed sizes"))
        if len(kinds[key]) > 1
    ]
    if missing:
        warnings.append(f"{len(missing)} prompts lack clips: {some_of(missing)}")
    numbered = sum(clip.video.seed is None for clip in clips)
    if numbered:
        warnings.append(f"{numbered} clips have no seed and are paired by their number")
    return {"clips": len(records), "footage": kinds, "warnings": warnings}
