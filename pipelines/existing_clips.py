"""Clips that are here already, as the generation set of a suite (run kind `existing_clips`).

They are those of one generator that the site knows, or those that an import has just taken in. What
is missing is named; rates, lengths and sizes are counted, so that a comparison knows of them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from annotation.errors import MediaError
from annotation.models import Generator, Prompt, Video
from annotation.models.clips import prompt_sha256
from annotation.storage import link_or_copy, media_storage
from formats.errors import FormatError
from formats.files import read_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, PromptRecord, VideoRef
from formats.supervised import Supervised
from pipelines.errors import InvalidRunConfig
from pipelines.footage import kinds_of, sizes_of
from pipelines.generations import FILE
from pipelines.ingesting import INGEST
from pipelines.step_configs import StepConfig, one_of, require, whole

KIND: Final = "existing_clips"
REFUSE: Final = "refuse"
LEAVE_OUT: Final = "leave out"
_AT_ONCE: Final = 500
_NAMED: Final = 8


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
    """Clips come from a generator by its name, or from an import."""
    if "ingest" in roles:
        return
    if not config["generator"]:
        raise InvalidRunConfig(
            "say whose clips: a generator by its name, or an import as the input ingest"
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
    imported = _imported(run.dir.input("ingest")) if run.dir.has_input("ingest") else None
    found = _clips(prompts, config, imported)
    chosen, missing = _chosen(prompts, found, config)
    target = run.dir.outputs / "generations"
    records = _brought(run, chosen, target)
    sha256 = GenerationRecord.write(target / FILE, records)
    summary = _summary(records, missing, found)
    output = Output(OutputKind.GENERATIONS, f"outputs/generations/{FILE}", sha256, summary)
    message = "; ".join(summary["warnings"])
    return Outcome(ExitCode.DONE, message=message, outputs=(output,), summary=summary)


# Which clips there are.


def _imported(report: Path) -> list[str]:
    """The ids of the clips that an import took; what it refused is missing, and named."""
    files = read_json(report, INGEST)["files"]
    refused = [f"{row['file']}: {row['reason']}" for row in files if not row["video"]]
    if refused:
        raise FormatError(
            f"{len(refused)} of {len(files)} clips were refused by the import: "
            f"{_some(refused)}; mend them or take them out of the table, and import again"
        )
    return [row["video"] for row in files]


def _clips(
    prompts: Sequence[PromptRecord], config: ExistingClipsConfig, imported: list[str] | None
) -> dict[str, list[Video]]:
    """Clips by the key of their prompt, in the order of seeds, else of their names."""
    keys = {_sha(prompt): prompt for prompt in prompts}
    ids = dict(_prompt_ids(list(keys)))
    rows = _of_prompts(list(ids), config.generator) if imported is None else _of_import(imported)
    foreign = [row for row in rows if row.prompt_id not in ids]
    if foreign:
        names = [f"{row.original_path}: {row.prompt.text[:60]!r}" for row in foreign]
        raise FormatError(
            f"{len(foreign)} clips are of prompts that the suite does not have: {_some(names)}"
        )
    by_prompt: dict[str, list[Video]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.seed or 0, row.original_path, str(row.pk))):
        by_prompt[ids[row.prompt_id]].append(row)
    return by_prompt


def _sha(prompt: PromptRecord) -> str:
    return prompt_sha256(prompt.text, prompt.image.sha256 if prompt.image else "")


def _prompt_ids(keys: Sequence[str]) -> Iterable[tuple[int, str]]:
    for start in range(0, len(keys), _AT_ONCE):
        wanted = keys[start : start + _AT_ONCE]
        yield from Prompt.objects.filter(sha256__in=wanted).values_list("pk", "sha256")


def _of_prompts(prompt_ids: Sequence[int], generator: str) -> list[Video]:
    found: list[Video] = []
    for start in range(0, len(prompt_ids), _AT_ONCE):
        found += Video.objects.filter(
            prompt__in=prompt_ids[start : start + _AT_ONCE],
            generator__name=generator,
            withdrawn=False,
        ).select_related("generator", "prompt")
    return found


def _of_import(ids: Sequence[str]) -> list[Video]:
    found: list[Video] = []
    for start in range(0, len(ids), _AT_ONCE):
        found += Video.objects.filter(
            pk__in=ids[start : start + _AT_ONCE], withdrawn=False
        ).select_related("generator", "prompt")
    return found


# Which of them are taken, and under which seed.


def _chosen(
    prompts: Sequence[PromptRecord],
    found: Mapping[str, list[Video]],
    config: ExistingClipsConfig,
) -> tuple[list[tuple[PromptRecord, int, Video]], list[str]]:
    """(prompt, seed, clip), and what is missing; FormatError where that is not allowed."""
    most = max(map(len, found.values()), default=0)
    wanted = config.clips_per_prompt or most
    missing = [
        f"{prompt.id} ({prompt.text[:40]!r}): {len(found.get(_sha(prompt), ()))} of {wanted or 1}"
        for prompt in prompts
        if len(found.get(_sha(prompt), ())) < (wanted or 1)
    ]
    if not most or (missing and config.missing == REFUSE):
        raise FormatError(
            f"clips are missing for {len(missing)} of {len(prompts)} prompts: {_some(missing)}; "
            f"bring them, or set missing to {LEAVE_OUT!r}"
        )
    chosen = [
        (prompt, seed, clip)
        for prompt in prompts
        for seed, clip in _seeded(prompt, found.get(_sha(prompt), []))[:wanted]
    ]
    return chosen, missing


def _seeded(prompt: PromptRecord, clips: Sequence[Video]) -> list[tuple[int, Video]]:
    """Each clip with its seed; clips without seeds are numbered, so that sides find each other."""
    without = [clip for clip in clips if clip.seed is None]
    if without and len(without) < len(clips):
        raise FormatError(
            f"some clips of prompt {prompt.id} have a seed and some have none, so nobody can tell"
            " which of base and candidate belong together; give all of them one"
        )
    seeds = Counter(clip.seed for clip in clips if clip.seed is not None)
    twice = [seed for seed, count in seeds.items() if count > 1]
    if twice:
        raise FormatError(f"two clips of prompt {prompt.id} have the seed {twice[0]}")
    return [(n if clip.seed is None else clip.seed, clip) for n, clip in enumerate(clips)]


# Bringing them together.


def _brought(
    run: Supervised, chosen: Sequence[tuple[PromptRecord, int, Video]], target: Path
) -> list[GenerationRecord]:
    """Out of the store beside the list; all that are not there are named at once."""
    (target / "clips").mkdir(parents=True, exist_ok=True)
    records, gone = [], []
    for number, (prompt, seed, clip) in enumerate(chosen, start=1):
        run.check()
        name = f"clips/{clip.sha256}.mp4"
        try:
            _bring(clip, target / name)
        except (MediaError, OSError) as error:
            gone.append(f"{clip.original_path or clip.sha256[:12]} of {prompt.id}: {error}")
        records.append(_record(prompt, seed, clip, name))
        if number % 100 == 0 or number == len(chosen):
            run.dir.log_metrics(number, len(chosen), {"missing": len(gone)}, stage="clips")
    if gone:
        raise FormatError(f"{len(gone)} clips are not in the store any more: {_some(gone)}")
    return records


def _bring(clip: Video, target: Path) -> None:
    """What an earlier attempt brought stays."""
    if not target.is_file():
        link_or_copy(media_storage().local(clip.file, clip.sha256), target)


def _record(prompt: PromptRecord, seed: int, clip: Video, name: str) -> GenerationRecord:
    made_by = clip.generator.name if clip.generator else ""
    video = VideoRef(
        str(clip.pk), name, clip.sha256, clip.fps, clip.num_frames, generator=made_by, seed=seed
    )
    return GenerationRecord(prompt.id, prompt.text, prompt.split, video, image=prompt.image)


def _summary(
    records: Sequence[GenerationRecord], missing: list[str], found: Mapping[str, list[Video]]
) -> dict[str, Any]:
    kinds = kinds_of(records, sizes_of(records))
    numbered = sum(clip.seed is None for clips in found.values() for clip in clips)
    warnings = [
        f"{what}: {', '.join(f'{n} at {name}' for name, n in kinds[key].items())}"
        for key, what in (("fps", "mixed frame rates"), ("size", "mixed sizes"))
        if len(kinds[key]) > 1
    ]
    if missing:
        warnings.append(f"{len(missing)} prompts have fewer clips than others: {_some(missing)}")
    if numbered:
        warnings.append(f"{numbered} clips have no seed and are paired by their number")
    return {"clips": len(records), "footage": kinds, "warnings": warnings}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{'; '.join(names[:_NAMED])}{more}"
