"""The whole card of an adapter: what its trainer wrote, what judges found, where it comes from.

The trainer's part lies in the adapter's folder and never changes; win rates come later, and only
the database knows the way down to the votes. Both are put behind it whenever a card is asked for.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from formats.errors import FormatError
from formats.files import read_json
from formats.outcome import OutputKind
from pipelines.changes import Change
from pipelines.comparisons.figures import Judged, judgements_of
from pipelines.comparisons.table import MOTION
from pipelines.models import Artifact
from pipelines.registry import Step, lineage, path_of
from pipelines.reporting import lineage_row

CARD: Final = "adapter/1"
WHOLE: Final = "adapter_card/1"
README: Final = "README.md"


def card_of(artifact: Artifact) -> dict[str, Any]:
    """Everything that is known about an adapter, as plain JSON. FormatError where it is damaged."""
    steps = lineage([artifact.run_id])
    return {
        "adapter": {"artifact": artifact.pk, "run": artifact.run_id, "sha256": artifact.sha256},
        "training": read_json(path_of(artifact) / "card.json", CARD),
        "evaluations": [_evaluation(each) for each in judgements_of(artifact.run)],
        "votes": [_votes(each) for each in _left(steps, OutputKind.SNAPSHOT)],
        "pairs": [{"sha256": p.sha256, **p.meta} for p in _left(steps, OutputKind.PAIRS)],
        "lineage": [lineage_row(step) for step in steps],
    }


def markdown_of(artifact: Artifact) -> str:
    """The trainer's README with what judges found and the lineage behind it."""
    file = path_of(artifact) / README
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise FormatError("this adapter was made before adapters had cards", path=file) from error
    card = card_of(artifact)
    parts = [*_judged_part(card["evaluations"]), *_lineage_part(card)]
    return "\n\n".join([text.rstrip(), *parts]) + "\n"


def has_card(artifact: Artifact) -> bool:
    return artifact.kind == OutputKind.ADAPTER and (path_of(artifact) / README).is_file()


def _left(steps: Iterable[Step], kind: OutputKind) -> list[Artifact]:
    return [each for step in steps for each in step.outputs if each.kind == kind]


def _evaluation(judged: Judged) -> dict[str, Any]:
    body = judged.body
    return {
        "run": judged.run.pk,
        "judges": [
            {key: row[key] for key in ("judge", "was_training_reward", "dimensions")}
            for row in body.get("judges", ())
        ],
        "measures": body.get("measures", {}),
    }


def _votes(snapshot: Artifact) -> dict[str, Any]:
    kept = ("campaign_name", "watermark", "counts", "agreement", "split")
    return {
        "snapshot": snapshot.pk,
        "sha256": snapshot.sha256,
        **{key: snapshot.meta[key] for key in kept if key in snapshot.meta},
    }


# As text.


def _judged_part(evaluations: Iterable[Mapping[str, Any]]) -> list[str]:
    parts = []
    for each in evaluations:
        rows = [_rate_row(judge, key, judge["dimensions"][key]) for judge, key in _rates(each)]
        parts += [_table(["judge", "dimension", "win rate", "95 %", "win/tie/loss"], rows)]
        if moved := each["measures"].get(MOTION):
            parts.append(_motion(Change(**moved)))
    if not parts:
        return ["## Against the base", "It has not been judged on test prompts."]
    told = (
        "The same held-out prompts and seeds with and without the adapter; ties count half, "
        "intervals are over prompts."
    )
    return ["## Against the base", told, *parts]


def _rates(evaluation: Mapping[str, Any]) -> Iterable[tuple[Mapping[str, Any], str]]:
    for judge in evaluation["judges"]:
        for key in judge["dimensions"]:
            yield judge, key


def _rate_row(judge: Mapping[str, Any], key: str, rate: Mapping[str, Any]) -> list[str]:
    trained = " (its training reward)" if judge["was_training_reward"] else ""
    return [
        f"{judge['judge']}{trained}",
        key,
        f"{rate['rate']:.3f}",
        f"{rate['low']:.3f} to {rate['high']:.3f}",
        f"{rate['wins']}/{rate['ties']}/{rate['losses']}",
    ]


def _motion(moved: Change) -> str:
    return (
        f"Amount of motion: {moved.candidate:.3f} with it, {moved.base:.3f} without "
        f"({moved.change:+.3f}, {moved.prompts} prompts)."
    )


def _lineage_part(card: Mapping[str, Any]) -> list[str]:
    votes = [_votes_words(each) for each in card["votes"]]
    rows = [
        [
            str(row["run"]),
            row["kind"],
            row["name"],
            ", ".join(f"{out['kind']} `{out['sha256'][:16]}`" for out in row["outputs"]),
        ]
        for row in card["lineage"]
    ]
    return ["## Lineage", *votes, _table(["run", "kind", "name", "left behind (sha256)"], rows)]


def _votes_words(votes: Mapping[str, Any]) -> str:
    counts = votes.get("counts", {})
    cast = max((row.get("votes", 0) for row in votes.get("agreement", {}).values()), default=0)
    return (
        f"Votes: snapshot `{votes['sha256'][:16]}` of the campaign {votes.get('campaign_name')!r}, "
        f"{counts.get('pairs', 0):,} pairs of {counts.get('prompts', 0):,} prompts, "
        # Imported labels have none.
        f"{f'{cast:,} votes per dimension' if cast else 'labels that were imported'}."
    )


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )
