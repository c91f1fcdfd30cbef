"""The form that starts a comparison: what all members share, and in what they differ."""

import json
from dataclasses import replace
from typing import Any, Final

from django.utils.text import slugify

from formats.outcome import OutputKind
from pipelines import kinds
from pipelines.comparisons.comparing import BACKBONE, JUDGES
from pipelines.comparisons.config import KIND
from pipelines.forms import JSONObject, StartRunForm, choice_of
from pipelines.models import Artifact, BaseModel, LoopGroup, Run, RunInput
from pipelines.splitting import TEST
from pipelines.starting import Source

_LONGEST: Final = 30  # of a judge's name, which becomes part of the roles of evaluations


class StartComparisonForm(StartRunForm):
    """The inputs of an alignment, the judges of a test, and the config of the comparison."""

    config = JSONObject(
        help_text=(
            "Members are variations of base, or whole configs, by name; a config may name a "
            "preset. “test” has a section per step and may be left out."
        )
    )

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(_spec(), *args, **kwargs)
        del self.fields["name"]  # It stands in the config.
        del self.fields["needs"]  # Of which of its runs?

    def inputs(self) -> dict[str, Source]:
        """Judges get the name of their run, because win rates are read by it."""
        found: dict[str, Source] = {}
        for role, row in super().inputs().items():
            is_judge = role.startswith(f"{JUDGES}:")
            found[f"{JUDGES}:{_name_of(row)}" if is_judge else role] = row
        return found


def _spec() -> kinds.KindSpec:
    alignment = kinds.get(KIND)
    judges = kinds.Role(JUDGES, (OutputKind.REWARD_MODEL,), required=False, many=True)
    backbone = kinds.Role(BACKBONE, (OutputKind.BASE_MODEL,), BaseModel.Role.VLM, required=False)
    return replace(alignment, roles=(*alignment.roles, judges, backbone))


def _name_of(row: Source) -> str:
    run = row.run if isinstance(row, Artifact) else row
    assert isinstance(run, Run)
    return f"{slugify(run.name)[:_LONGEST] or 'reward'}-{run.pk}"


def first_comparison(like: LoopGroup | None = None) -> dict[str, Any]:
    """That of another comparison, or two variations for a person to edit."""
    if like is not None:
        return dict(like.config)
    defaults = kinds.get(KIND).check({})
    return {
        "name": "Comparison",
        "base": {key: defaults[key] for key in ("method", "settings", "lr", "steps")},
        "variations": {"as it is": {}, "lower rate": {"lr": defaults["lr"] / 5}},
        "test": {
            "campaign": "",
            "prompts": {"suite": "", "split": TEST, "limit": 0},
            "generation": {},
            "scoring": {},
            "truth": None,
            "evaluation": {},
        },
    }


def initial_of_comparison(like: LoopGroup | None) -> dict[str, Any]:
    """The first values of the form, inputs of the earlier comparison included."""
    config = json.dumps(first_comparison(like), indent=2, ensure_ascii=False)
    values: dict[str, Any] = {"config": config}
    member = None if like is None else like.runs.filter(kind=KIND).order_by("pk").first()
    if member is not None:
        values |= {row.role: choice_of(row) for row in member.inputs.filter(file="")}
    if like is not None:
        judged = RunInput.objects.filter(run__group=like, run__kind="scoring").order_by("pk")
        judges = {choice_of(row): row for row in judged.filter(role="reward_model")}
        backbones = {choice_of(row): row for row in judged.filter(role=BACKBONE)}
        values |= {JUDGES: list(judges), BACKBONE: next(iter(backbones), "")}
    return values
