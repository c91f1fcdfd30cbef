"""What is known about an examined reward model, read from what its run left: never from torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from formats.errors import FormatError
from formats.files import read_json
from formats.outcome import OutputKind
from pipelines.models import Artifact, Run
from pipelines.registry import path_of

CARD: Final = "reward_card/1"  # models_rm.reward_models.cards
CURVE: Final = "learning_curve/1"  # models_rm.learning_curve.run
EVALUATION: Final = "reward_evaluation/2"  # models_rm.examination.run
# Held-out prompts first: what was found on others says less.
SPLITS: Final = ("test", "validation", "train")

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Examined:
    """`evaluation`: split -> dimension -> figures, with their details where the files hold them."""

    evaluation: Mapping[str, Mapping[str, Figures]]
    probes: list[Mapping[str, Any]]
    titles: Mapping[str, str]  # of dimensions, where they are known
    comparison: Mapping[str, Any]  # with a second model on the same pairs; often empty

    @property
    def split(self) -> str:
        """The first split in which anybody said anything; nothing where there is none."""
        return next((each for each in SPLITS if self.rows(each)), "")

    def rows(self, split: str) -> dict[str, Figures]:
        """Dimensions of which people judged pairs, or scored single clips."""
        found = self.evaluation.get(split, {})
        # A file has its keys by name; people have dimensions in an order.
        order = [*(key for key in self.titles if key in found), *found]
        rows = {key: found[key] for key in dict.fromkeys(order)}
        return {key: row for key, row in rows.items() if row["pairs"] or row.get("scored_clips")}

    def judged(self, split: str) -> dict[str, Figures]:
        """Dimensions of which people judged pairs."""
        return {key: row for key, row in self.rows(split).items() if row["pairs"]}

    def title(self, key: str) -> str:
        return self.titles.get(key, key)


def card_of(artifact: Artifact) -> Path:
    """card.json of a reward model, whether it is there or not."""
    return path_of(artifact) / "card.json"


def examined(run: Run, outputs: list[Artifact]) -> Examined | None:
    """What a run found out about a reward model; None for a run about something else.

    Files have the whole of it. A model from before there were cards has its summary.
    """
    for artifact in outputs:
        found = read(artifact)
        if found is not None:
            return found
    evaluation = run.summary.get("evaluation")
    if run.kind == "reward_model" and isinstance(evaluation, dict):
        return Examined(evaluation, list(run.summary.get("probes", [])), {}, {})
    return None


def read(artifact: Artifact) -> Examined | None:
    """From the files of an artifact; None where they say nothing, are damaged or gone."""
    try:
        if artifact.kind == OutputKind.REWARD_MODEL:
            return _of(read_json(card_of(artifact), CARD))
        if artifact.kind == OutputKind.REWARD_EVALUATION:
            return _of(read_json(path_of(artifact), EVALUATION))
    except FormatError:
        return None
    return None


def curve_of(artifact: Artifact) -> dict[str, Any] | None:
    """The file of a learning curve; None for anything else, and where it is damaged or gone."""
    if artifact.kind != OutputKind.LEARNING_CURVE:
        return None
    try:
        return read_json(path_of(artifact), CURVE)
    except FormatError:
        return None


def _of(content: Mapping[str, Any]) -> Examined:
    dimensions = content.get("dimensions", {}).get("dimensions", [])
    return Examined(
        evaluation=content["evaluation"],
        probes=list(content["probes"]),
        titles={each["key"]: each["title"] for each in dimensions},
        comparison=content.get("comparison", {}),
    )


def others_of(artifact: Artifact) -> list[Artifact]:
    """Other reward models that were trained on the same snapshot, newest first."""
    snapshot = artifact.meta.get("snapshot_sha256")
    if artifact.kind != OutputKind.REWARD_MODEL or not snapshot:
        return []
    same = Artifact.objects.filter(
        kind=OutputKind.REWARD_MODEL, meta__snapshot_sha256=snapshot
    ).exclude(pk=artifact.pk)
    return list(same.select_related("run").order_by("-pk")[:50])
