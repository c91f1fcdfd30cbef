"""The forms that start runs and loops: cleaning only. What may play a role is asked of the kind."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any, Final

from django import forms

from annotation.media.keeping import store_upload
from annotation.models import Campaign
from formats.outcome import OutputKind
from formats.records import PromptRecord
from pipelines import kinds
from pipelines.errors import InvalidRunConfig
from pipelines.ingests.ingesting import IngestConfig
from pipelines.models import ENDED, Artifact, BaseModel, Run, RunInput, Suite
from pipelines.run_pages import pretty
from pipelines.splitting import SPLITS, Split
from pipelines.starting import Source
from pipelines.suites.shelf import campaign_prompts, suite_prompts, with_split
from pipelines.worker_labels import PROCESSES, Value, as_given, parsed

_LATEST: Final = 100
_TABLES: Final[dict[str, type[Source]]] = {
    "artifact": Artifact,
    "base_model": BaseModel,
    "run": Run,
}


class JSONObject(forms.CharField):
    """A JSON object; a mistake is named with its line."""

    widget = forms.Textarea(attrs={"rows": 18, "cols": 90, "spellcheck": "false"})

    def clean(self, value: str) -> dict[str, Any]:
        text = super().clean(value)
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise forms.ValidationError(
                f"Not JSON: {error.msg}, line {error.lineno}, column {error.colno}."
            ) from None
        if not isinstance(found, dict):
            raise forms.ValidationError("Expected a JSON object: {…}.")
        return found


class StartRunForm(forms.Form):
    """One run of a given kind: name, config, and what plays each role."""

    name = forms.CharField(max_length=200, required=False)
    config = JSONObject()
    needs = forms.CharField(
        max_length=500,
        required=False,
        help_text="What its worker must have, as gpu_memory=40, zone=a; empty: nothing special.",
    )

    def __init__(self, spec: kinds.KindSpec, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.spec = spec
        if spec.upload:
            self.fields["upload"] = forms.FileField(
                required=False,
                label="Upload",
                help_text=f"A zip archive; its name takes the place of “{spec.upload}” above.",
            )
        for role in (each for each in spec.roles if not each.inner):
            if role.given:
                self._add_prompts(role)
            else:
                self._add_role(role)

    def clean_needs(self) -> dict[str, Value]:
        words = [word for word in self.cleaned_data["needs"].split(",") if word.strip()]
        try:
            return parsed(words)
        except InvalidRunConfig as error:
            raise forms.ValidationError(str(error)) from None

    @property
    def pair_fields(self) -> list[str]:
        """The fields in which pairs are chosen: people should look at them first."""
        return [role.name for role in self.spec.roles if OutputKind.PAIRS in role.artifacts]

    def _add_role(self, role: kinds.Role) -> None:
        choices = list(_choices(role))
        label = role.name.replace("_", " ").capitalize()
        if role.many:
            self.fields[role.name] = forms.MultipleChoiceField(
                choices=choices, required=role.required, label=label
            )
            return
        self.fields[role.name] = forms.ChoiceField(
            choices=[("", "– none –"), *choices], required=role.required, label=label
        )

    def _add_prompts(self, role: kinds.Role) -> None:
        self.fields[role.name] = forms.ChoiceField(
            choices=[("", "– none –"), *_prompt_lists()],
            required=role.required,
            label=role.name.replace("_", " ").capitalize(),
        )
        sides = [("", "all"), *((side, f"{side} prompts only") for side in SPLITS)]
        self.fields["prompts_split"] = forms.ChoiceField(
            choices=sides, required=False, label="Which of them", initial=role.side
        )
        self.fields["prompts_limit"] = forms.IntegerField(
            min_value=1, required=False, label="At most"
        )

    def config_with_upload(self) -> dict[str, Any]:
        """The config, with the uploaded file where it belongs; the file is stored."""
        config: dict[str, Any] = self.cleaned_data["config"]
        upload = self.cleaned_data.get("upload")
        return {**config, self.spec.upload: store_upload(upload)} if upload else config

    def inputs(self) -> dict[str, Source]:
        """What plays each role, as start_run wants it."""
        found: dict[str, Source] = {}
        for role in self.spec.roles:
            value = self.cleaned_data.get(role.name)
            if role.given or not value:
                continue
            if not role.many:
                found[role.name] = _row(value)
                continue
            for row in map(_row, value):
                found[f"{role.name}:{_suffix(row)}"] = row
        return found

    def given(self) -> dict[str, list[PromptRecord]]:
        return {
            role.name: self._prompts(self.cleaned_data[role.name])
            for role in self.spec.roles
            if role.given and self.cleaned_data.get(role.name)
        }

    def _prompts(self, value: str) -> list[PromptRecord]:
        table, _, row_id = value.partition(":")
        found = (
            suite_prompts(Suite.objects.get(pk=row_id))
            if table == "suite"
            else campaign_prompts(Campaign.objects.get(pk=row_id))
        )
        if side := self.cleaned_data["prompts_split"]:
            found = with_split(found, Split(), side)
        return found[: self.cleaned_data["prompts_limit"]]


def _choices(role: kinds.Role) -> Iterable[tuple[str, str]]:
    for artifact in Artifact.objects.filter(kind__in=role.artifacts).select_related("run")[
        :_LATEST
    ]:
        when = artifact.created_at.strftime("%d %b %H:%M")
        what = f"{artifact.kind.replace('_', ' ')} {artifact.pk}: {artifact}"
        yield f"artifact:{artifact.pk}", f"{what} (run {artifact.run_id}, {when})"
    if role.base_model is not None:
        for model in BaseModel.objects.filter(role=role.base_model).order_by("name"):
            yield f"base_model:{model.pk}", f"base model: {model.name}"
    making = [name for name in kinds.names() if kinds.get(name).output in role.artifacts]
    for run in Run.objects.filter(kind__in=making).exclude(state__in=ENDED)[:_LATEST]:
        yield f"run:{run.pk}", f"what {run} will leave"


def _prompt_lists() -> Iterable[tuple[str, str]]:
    for suite in Suite.objects.order_by("name"):
        yield f"suite:{suite.pk}", f"suite: {suite}"
    for campaign in Campaign.objects.all()[:_LATEST]:
        yield f"campaign:{campaign.pk}", f"campaign: {campaign}"


def _row(value: str) -> Source:
    table, _, row_id = value.partition(":")
    return _TABLES[table]._default_manager.get(pk=row_id)


def _suffix(row: Source) -> str:
    """What tells repeated roles apart: for scores the judge, so that both sides find each other."""
    run = row.run if isinstance(row, Artifact) else row
    assert isinstance(run, Run)
    if run.kind not in ("scoring", "scores_gathered"):
        return run.kind if run.kind == "truth" else f"run-{run.pk}"
    model = run.inputs.select_related("artifact").filter(role="reward_model").first()
    assert model is not None  # a scoring run has one, or it would not have been written
    maker = model.artifact.run_id if model.artifact is not None else model.producer_id
    return f"reward-{maker}"


def default_config(spec: kinds.KindSpec, preset: str = "") -> dict[str, Any]:
    """The config of this kind with all its defaults, as a start for the person who edits it.

    InvalidRunConfig for a preset that the kind does not have.
    """
    if preset:
        return spec.check(spec.preset(preset))
    if spec.name == "snapshot":
        newest = Campaign.objects.order_by("-pk").first()
        return {"campaign": newest.name if newest else "", "split": Split().to_json()}
    if spec.name == "ingest":
        return {each.name: each.default for each in dataclasses.fields(IngestConfig)}
    if spec.name == "reward_benchmark":
        return {"folder": "", "file": "", "format": "auto", "scores": {}, "bootstrap": 1000}
    try:
        return spec.check({})
    except InvalidRunConfig:
        return {}  # It needs values that only a person knows; the check names them.


def initial_of(run: Run) -> dict[str, Any]:
    """Another run's name, config and inputs, to start one like it."""
    spec = kinds.get(run.kind)
    asked = {name: need for name, need in run.needs.items() if name != PROCESSES}
    values: dict[str, Any] = {"name": run.name, "config": pretty(run.config)}
    values["needs"] = as_given(asked)
    for row in run.inputs.all():
        role = spec.role(row.role)
        if role is None or row.file:
            continue
        value = choice_of(row)
        if role.many:
            values.setdefault(role.name, []).append(value)
        else:
            values[role.name] = value
    return values


def choice_of(row: RunInput) -> str:
    """The choice of a form that stands for what plays this role."""
    if row.artifact_id:
        return f"artifact:{row.artifact_id}"
    return f"base_model:{row.base_model_id}" if row.base_model_id else f"run:{row.producer_id}"


class StartLoopForm(forms.Form):
    """All runs from a campaign's votes to a report."""

    campaign = forms.ModelChoiceField(Campaign.objects.all())
    config = JSONObject(
        help_text=(
            "One section per step. backbone and generator are names of base models; prompts_pairs "
            "and prompts_eval name a suite, or the campaign's own prompts if it is empty."
        )
    )
