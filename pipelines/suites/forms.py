"""The forms of suites: importing one, saying how it is scored, evaluating it. Cleaning only."""

import json
from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.utils.text import slugify

from formats.outcome import OutputKind
from pipelines.contests import BASE, Source
from pipelines.forms import JSONObject
from pipelines.models import ENDED, Artifact, BaseModel, Run, Suite
from pipelines.splitting import SPLITS
from pipelines.suites.scoring import VBENCH, Judge, judges_of, way_of
from pipelines.suites.sides import BACKBONE, CANDIDATE, GENERATOR, JUDGES

JUDGE_ROWS: Final = 4
_LATEST: Final = 100
_NONE: Final = ("", "– none –")
_TABLES: Final[dict[str, type[Source]]] = {
    "artifact": Artifact, "base_model": BaseModel, "run": Run,
}  # fmt: skip


class ImportSuiteForm(forms.Form):
    """A file of prompts, or an archive with a table and its images."""

    name = forms.CharField(max_length=100, help_text="How runs and people call it; no slash.")
    title = forms.CharField(max_length=200, required=False)
    file = forms.FileField(
        required=False,
        help_text="CSV, JSON lines or one prompt a line; or a zip archive with one table and the"
        " images that it names.",
    )
    images = forms.CharField(
        max_length=500,
        required=False,
        label="On the server",
        help_text="Below MEDIA_ROOT/incoming: the folder that paths of image_path start from; or,"
        " without a file, the file, folder or archive that is imported.",
    )
    repair = forms.BooleanField(
        required=False, label="Take text that was encoded twice as it was meant"
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if not values.get("file") and not values.get("images") and not self.errors:
            self.add_error("file", "Choose a file, or name what lies on the server.")
        return values


class Small(JSONObject):
    """A JSON object of a few lines; empty is {}."""

    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "class": "mono"})

    def __init__(self, **kwargs: Any):
        super().__init__(required=False, **kwargs)

    def clean(self, value: str) -> dict[str, Any]:
        return super().clean(value) if value and value.strip() else {}


class ScoringForm(forms.Form):
    """Judges, weights, VBench dimensions, and the settings of generation and scoring."""

    weights = Small(
        help_text='Of the overall score, as {"VQ": 1, "MQ": 0.5}; empty: every dimension alike.'
    )
    vbench = forms.MultipleChoiceField(
        required=False,
        label="VBench dimensions",
        choices=[(each, each.replace("_", " ")) for each in VBENCH],
        widget=forms.CheckboxSelectMultiple,
        help_text="Temporal flickering is computed here; the others need the official package.",
    )
    generation = Small(help_text="Entries of the config of a generation run.")
    scoring = Small(help_text="Entries of the config of a scoring run.")
    with_truth = forms.BooleanField(
        required=False, label="The truth judges too (clips of the demo world alone)"
    )

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        models = [_NONE, *_artifacts(OutputKind.REWARD_MODEL)]
        backbones = [_NONE, *_base_models(BaseModel.Role.VLM)]
        for row in range(JUDGE_ROWS):
            self.fields[f"judge_{row}"] = forms.CharField(
                max_length=30, required=False, label=f"Judge {row + 1}"
            )
            self.fields[f"model_{row}"] = forms.ChoiceField(
                choices=models, required=False, label="Reward model"
            )
            self.fields[f"backbone_{row}"] = forms.ChoiceField(
                choices=backbones, required=False, label="Its backbone, if it holds none"
            )

    @property
    def judge_rows(self) -> list[list[forms.BoundField]]:
        words = ("judge", "model", "backbone")
        return [[self[f"{word}_{row}"] for word in words] for row in range(JUDGE_ROWS)]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        for row in range(JUDGE_ROWS):
            if bool(values.get(f"judge_{row}")) != bool(values.get(f"model_{row}")):
                self.add_error(f"judge_{row}", "A judge has a name and a reward model.")
        return values

    def judges(self) -> list[Judge]:
        values, found = self.cleaned_data, []
        for row in range(JUDGE_ROWS):
            if not values[f"judge_{row}"]:
                continue
            model, backbone = (_row(values[f"{word}_{row}"]) for word in ("model", "backbone"))
            assert isinstance(model, Artifact)
            assert backbone is None or isinstance(backbone, BaseModel)
            found.append(Judge(values[f"judge_{row}"], model, backbone))
        return found

    def scoring_way(self) -> dict[str, Any]:
        values = self.cleaned_data
        said = {name: values[name] for name in ("weights", "vbench", "generation", "scoring")}
        return {**said, "truth": {} if values["with_truth"] else None}


def initial_of_scoring(suite: Suite) -> dict[str, Any]:
    way = way_of(suite)
    values: dict[str, Any] = {"vbench": way.vbench, "with_truth": way.truth is not None}
    for name in ("weights", "generation", "scoring"):
        found = getattr(way, name)
        values[name] = json.dumps(found, indent=2, ensure_ascii=False) if found else ""
    for row, judge in enumerate(judges_of(suite)[:JUDGE_ROWS]):
        values[f"judge_{row}"] = judge.name
        values[f"model_{row}"] = f"artifact:{judge.reward_model.pk}"
        values[f"backbone_{row}"] = f"base_model:{judge.backbone.pk}" if judge.backbone else ""
    return values


class EvaluateForm(forms.Form):
    """Base and candidates, and what is otherwise than the suite says."""

    name = forms.CharField(max_length=200, required=False)
    base = forms.ChoiceField(
        required=False,
        help_text="None: the generator below without an adapter, or clips named as “base” below.",
    )
    candidates = forms.MultipleChoiceField(
        required=False,
        widget=forms.SelectMultiple(attrs={"size": 8}),
        help_text="Adapters, generators, or clips of earlier runs.",
    )
    generator = forms.ChoiceField(
        required=False, help_text="None: the one that the adapters were trained on."
    )
    judges = forms.MultipleChoiceField(
        required=False, help_text="None: those of the suite. Reward models of this site."
    )
    backbone = forms.ChoiceField(
        required=False, label="Backbone of these judges", help_text="Of judges that hold none."
    )
    split = forms.ChoiceField(
        required=False, choices=[("", "all prompts"), *((each, each) for each in SPLITS)]
    )
    category = forms.ChoiceField(required=False)
    limit = forms.IntegerField(required=False, min_value=1, label="At most so many prompts")
    generation = Small(help_text='Over the suite\'s settings, as {"clips_per_prompt": 2}.')
    clips = Small(
        label="Clips that exist",
        help_text='{"base": {"generator": "name"}, "theirs": {"folder": "below incoming",'
        ' "manifest": "clips.csv"}}',
    )
    scores = Small(
        label="Scores of other judges",
        help_text='{"VideoScore": {"scale": {"VQ": [0, 1]}, "files": {"base": "a.csv",'
        ' "theirs": "b.csv"}}}; files below MEDIA_ROOT/incoming.',
    )
    allow_other_rates = forms.BooleanField(
        required=False, label="Compare clips of other frame rates too"
    )
    allow_trained_prompts = forms.BooleanField(
        required=False, label="Count prompts that a candidate was trained on"
    )

    def __init__(self, suite: Suite, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.suite = suite
        generators = list(_base_models(BaseModel.Role.GENERATOR))
        sides = [*_artifacts(OutputKind.ADAPTER), *_running(), *generators,
                 *_artifacts(OutputKind.GENERATIONS)]  # fmt: skip
        self._choose("base", [_NONE, *sides])
        self._choose("candidates", sides)
        self._choose("generator", [_NONE, *generators])
        self._choose("judges", [*_artifacts(OutputKind.REWARD_MODEL)])
        self._choose("backbone", [_NONE, *_base_models(BaseModel.Role.VLM)])
        found = suite.prompts.exclude(category="").values_list("category", flat=True)
        words = sorted(set(found.order_by()))
        self._choose("category", [("", "all"), *((each, each) for each in words)])

    def _choose(self, name: str, choices: list[tuple[str, str]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]

    def config(self) -> dict[str, Any]:
        values = self.cleaned_data
        names = ("name", "split", "category", "generation", "clips", "scores",
                 "allow_other_rates", "allow_trained_prompts")  # fmt: skip
        said = {name: values[name] for name in names}
        return {**said, "suite": self.suite.name, "limit": values["limit"] or 0}

    def inputs(self) -> dict[str, Source]:
        """By role, named for the runs that they come from."""
        values = self.cleaned_data
        found: dict[str, Source] = {}
        for role in (BASE, GENERATOR, BACKBONE):
            row = _row(values[role])
            if row is not None:
                found[role] = row
        for role, chosen in ((CANDIDATE, values["candidates"]), (JUDGES, values["judges"])):
            for row in map(_row, chosen):
                assert row is not None  # the field takes what it offers
                found[f"{role}:{name_of(row)}"] = row
        return found


def name_of(row: Source) -> str:
    """What a side or a judge is called where nobody named it: after its run, or as the model."""
    if isinstance(row, BaseModel):
        return slugify(row.name)[:24] or f"model-{row.pk}"
    run = row.run if isinstance(row, Artifact) else row
    assert isinstance(run, Run)
    return f"{slugify(run.name)[:20] or run.kind}-{run.pk}"[:30]


def _artifacts(kind: OutputKind) -> Iterable[tuple[str, str]]:
    for each in Artifact.objects.filter(kind=kind).select_related("run").order_by("-pk")[:_LATEST]:
        what = each.kind.replace("_", " ")
        yield f"artifact:{each.pk}", f"{what} {each.pk}: {each} ({each.run})"


def _running() -> Iterable[tuple[str, str]]:
    runs = Run.objects.filter(kind="alignment").exclude(state__in=ENDED).order_by("-pk")
    for each in runs[:_LATEST]:
        yield f"run:{each.pk}", f"what {each} will leave"


def _base_models(role: BaseModel.Role) -> Iterable[tuple[str, str]]:
    for each in BaseModel.objects.filter(role=role).order_by("name"):
        yield f"base_model:{each.pk}", f"{each.get_role_display()}: {each.name}"


def _row(value: str) -> Source | None:
    if not value:
        return None
    table, _, row_id = value.partition(":")
    return _TABLES[table]._default_manager.get(pk=row_id)
