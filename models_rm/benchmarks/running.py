"""A reward model through a benchmark: every (video, prompt) scored once, then the table.

`python -m models_rm benchmark RUN_DIR` is the run kind `reward_benchmark`; `python -m models_rm
rewardbench` is the same for people, without a run directory. Both go on behind what an earlier,
killed attempt has scored.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from formats.checkpoints import commit_folder
from formats.errors import FormatError
from formats.files import below, sha256_of, write_atomically, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import ScoreRecord
from formats.supervised import Supervised
from models_rm.benchmarks.markdown import table_of
from models_rm.benchmarks.pairs import Benchmark, Clip, Key, located
from models_rm.benchmarks.published import published_figures
from models_rm.benchmarks.reading import read_benchmark
from models_rm.benchmarks.results import Model, Resampling, results_of
from models_rm.benchmarks.score_files import Scores, read_scores, write_scores
from models_rm.config import BenchmarkConfig
from models_rm.reward_models.streaming import Limits, Task, stream
from models_rm.scores.parts import FOLDER, Parts
from models_rm.scores.run import Pace, config_of, loaded, record_of
from models_rm.scoring import RewardModel

SCHEMA: Final = "reward_benchmark/1"
_FIGURES: Final = ("accuracy_with_ties", "accuracy_without_ties")  # as they are published
_NAMED: Final = 5  # clips that cannot be read are named, at most so many


@dataclass(frozen=True, slots=True)
class Examined:
    """What a benchmark gives: the result as plain JSON, its table, the scores of the model."""

    result: dict[str, Any]
    table: str
    scores: Scores
    dimensions: tuple[str, ...]


def benchmark(run: Supervised) -> Outcome:
    config = _inside(run.dir.media_root(), config_of(run, BenchmarkConfig.from_json))
    folder = Path(config.folder)
    model = loaded(run, config)

    def log(done: int, total: int, rate: float) -> None:
        run.dir.log_metrics(done, total, {"clips_per_second": rate}, stage="scoring")

    parts = Parts(
        run.dir.root / FOLDER, run.fence, clips=config.part_clips, seconds=config.part_seconds
    )
    found = examine(folder, config, model, parts, check=run.check, log=log)
    target = run.dir.outputs / "benchmark"
    sha256 = commit_folder(target, lambda into: fill(into, found), {"kind": "benchmark"})
    summary = summary_of(found.result)
    output = Output(OutputKind.BENCHMARK, "outputs/benchmark", sha256, summary)
    message = f"examined {found.result['pairs']} pairs of {found.result['benchmark']}"
    return Outcome(ExitCode.DONE, "done", message, (output,), summary)


def examine(
    folder: Path,
    config: BenchmarkConfig,
    model: RewardModel | None,
    parts: Parts,
    *,
    check: Callable[[Callable[[], None]], None],
    log: Callable[[int, int, float], None],
) -> Examined:
    """Score what has no score yet, and put all models beside each other.

    `folder` is where the paths of the clips begin; the files of the config are absolute. Without a
    `model` only the tables in `config.scores` are compared. `check` is called after each batch
    with what to do before stopping.
    """
    file = Path(config.file)
    pairs = read_benchmark(file, config.format)
    models: list[Model] = []
    notes: list[str] = []
    scores: Scores = {}
    if model is not None:
        model = _with_pixels(model, config)
        records = _scored(folder, pairs, model, parts, config, check=check, log=log)
        models.append(_model(config.name, model, records))
        scores = {key: record.score for key, record in records.items() if not record.error}
        notes += _notes(records)
    for name, table in config.scores.items():
        models.append(Model(name, f"scores of {Path(table).name}", read_scores(Path(table))))
    if not models:
        raise FormatError("there is neither a reward model nor a table of scores")
    result = results_of(pairs, models, Resampling(config.bootstrap, config.seed))
    result |= {"file": file.name, "sha256": sha256_of(file), "notes": notes}
    dimensions = model.dimensions if model is not None else ()
    return Examined(result, table_of(result), scores, dimensions)


def fill(folder: Path, found: Examined) -> None:
    """result.json, table.md, and scores.csv, which `scores` reads beside another model."""
    write_json(folder / "result.json", SCHEMA, found.result)
    write_atomically(folder / "table.md", [found.table.encode()])
    if found.scores:
        write_scores(folder / "scores.csv", found.scores, found.dimensions)


def summary_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of the run page: with and without ties, chance and what is published beside."""
    return {
        "benchmark": result["benchmark"],
        "pairs": result["pairs"],
        "clips": result["clips"],
        **{name: _column_of_page(result, name) for name in _FIGURES},
    }


def _column_of_page(result: Mapping[str, Any], name: str) -> dict[str, dict[str, float]]:
    """Model (or chance) -> column -> accuracy."""
    rows = {
        model["name"]: {
            column: figures[name]
            for column, figures in model["columns"].items()
            if figures["pairs"]
        }
        for model in result["models"]
    }
    chance = result["baselines"]
    if name == "accuracy_with_ties":
        rows["random"] = {column: each["random"] for column, each in chance.items()}
        rows["always a tie"] = {column: each["always_tie"] for column, each in chance.items()}
    else:
        rows["random"] = dict.fromkeys(chance, 0.5)
    for each in result["published"]["models"]:
        found = {
            column["name"]: figures[_FIGURES.index(name)]
            for column in result["columns"]
            if (figures := published_figures(each["figures"], column)) is not None
        }
        shown = {column: value for column, value in found.items() if value is not None}
        if shown:
            rows[f"{each['model']} (published)"] = shown
    return rows


def _inside(media_root: Path, config: BenchmarkConfig) -> BenchmarkConfig:
    """The config of a run with absolute paths: nothing outside the folder for imports is read."""
    folder = below(media_root / "incoming", config.folder)
    return replace(
        config,
        folder=str(folder),
        file=str(below(folder, config.file)),
        scores={name: str(below(folder, file)) for name, file in config.scores.items()},
    )


def _with_pixels(model: RewardModel, config: BenchmarkConfig) -> RewardModel:
    """The model with another size of frames, where the config wants one."""
    if config.min_pixels is None and config.max_pixels is None:
        return model
    members = []
    for member in model.members:
        known = member.card.frame_rule
        rule = replace(
            known,
            min_pixels=config.min_pixels or known.min_pixels,
            max_pixels=config.max_pixels or known.max_pixels,
        )
        if rule.min_pixels > rule.max_pixels:
            raise FormatError(
                f"min_pixels {rule.min_pixels} is above max_pixels {rule.max_pixels}; give both"
            )
        members.append(replace(member, card=replace(member.card, frame_rule=rule)))
    return RewardModel(members)


def _scored(
    folder: Path,
    pairs: Benchmark,
    model: RewardModel,
    parts: Parts,
    config: BenchmarkConfig,
    *,
    check: Callable[[Callable[[], None]], None],
    log: Callable[[int, int, float], None],
) -> dict[Key, ScoreRecord]:
    clips = pairs.clips()
    known = parts.read(lambda text: print(text, flush=True))
    left = [clip for clip in clips if clip.key not in known]
    tasks = [Task(located(folder, clip), clip.prompt) for clip in left]
    limits = Limits(config.batch_size, config.batch_tokens, config.readers)
    done, pace = len(clips) - len(left), Pace()
    for batch in stream(model, tasks, limits):
        parts.add(record_of(model, _names(left[each.row]), each) for each in batch)
        done += len(batch)
        pace.count(len(batch))
        log(done, len(clips), pace.rate)
        check(parts.flush)
    parts.flush()
    found = parts.read(lambda text: print(text, flush=True))
    records = {clip.key: found[clip.key] for clip in clips}
    if all(record.error for record in records.values()):
        first = next(iter(records.values()))
        raise FormatError(
            f"none of the {len(records)} clips can be read; {first.video_id!r}: {first.error}",
            path=folder,
        )
    return records


def _names(clip: Clip) -> tuple[str, str, str]:
    return clip.path, "", clip.prompt


def _model(name: str, model: RewardModel, records: Mapping[Key, ScoreRecord]) -> Model:
    """Raw rewards, because thresholds are of raw differences; the mean is of calibrated scores."""
    good = {key: record for key, record in records.items() if not record.error}
    rules = ", ".join(
        f"{rule.fps:g} frames per second of {rule.min_pixels} to {rule.max_pixels} pixels"
        for rule in model.frame_rules
    )
    return Model(
        name,
        f"scored here at {rules}",
        {key: record.raw for key, record in good.items()},
        dict(model.calibration.threshold),
        {key: record.score for key, record in good.items()},
    )


def _notes(records: Mapping[Key, ScoreRecord]) -> list[str]:
    bad = [record for record in records.values() if record.error]
    if not bad:
        return []
    named = "; ".join(f"{record.video_id}: {record.error}" for record in bad[:_NAMED])
    more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    return [f"{len(bad)} of {len(records)} clips have no score: {named}{more}"]
