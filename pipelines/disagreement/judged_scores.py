"""One click from a reward model to its scores of what people judged."""

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from formats.outcome import OutputKind
from pipelines.errors import PipelineError
from pipelines.models import Artifact, Run
from pipelines.starting import Source, start_run


def judged_scores(model: Artifact, user: AbstractBaseUser | None) -> Run:
    """Start the scoring of the clips of the model's own snapshot; the run, or the one that was
    started before. PipelineError where the model has no snapshot."""
    if model.kind != OutputKind.REWARD_MODEL:
        raise PipelineError(f"artifact {model.pk} is {model.kind}, not a reward model")
    given = {row.role: row for row in model.run.inputs.select_related("artifact", "base_model")}
    snapshot = given["snapshot"].artifact if "snapshot" in given else None
    if snapshot is None:
        raise PipelineError(
            f"the reward model {model.pk} was not trained on a snapshot of a campaign here; run"
            " judged_clips on one, and scoring on what it leaves"
        )
    inputs: dict[str, Source] = {"reward_model": model}
    backbone = given.get("backbone")
    found = (backbone.artifact or backbone.base_model) if backbone is not None else None
    if found is not None and not model.run.config.get("embed_backbone"):
        inputs["backbone"] = found
    with transaction.atomic():
        # Of two clicks at once the second one waits here, and finds what the first has started.
        list(Artifact.objects.filter(pk=model.pk).select_for_update(no_key=True))
        known = Run.objects.filter(kind="scoring", inputs__artifact=model, name=_name(snapshot))
        known = known.exclude(state__in=("failed", "cancelled"))
        if (before := known.order_by("-pk").first()) is not None:
            return before
        clips = start_run("judged_clips", {}, {"snapshot": snapshot}, user=user)
        return start_run(
            "scoring", {}, {**inputs, "generations": clips}, user=user, name=_name(snapshot)
        )


def _name(snapshot: Artifact) -> str:
    return f"Scores of what people judged, snapshot {snapshot.pk}"
