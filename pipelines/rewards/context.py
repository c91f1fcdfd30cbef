"""What the page of a run gets to show about a reward model: read, compared, prepared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from formats.outcome import OutputKind
from pipelines.adapters.cards import has_card
from pipelines.models import Artifact, Run
from pipelines.rewards.learning import learning_panel
from pipelines.rewards.over_t import over_t_panel
from pipelines.rewards.panels import RewardPage, page_of
from pipelines.rewards.reading import card_of, curve_of, examined, others_of, read


@dataclass(frozen=True, slots=True)
class Other:
    """Another reward model of the same snapshot, as a choice."""

    pk: int
    title: str


def of_run(run: Run, outputs: list[Artifact], *, beside: int | None) -> dict[str, Any]:
    """Entries of the page's context; empty for a run that did not examine a reward model.

    `beside` is the id of another reward model of the same snapshot, from the address bar: any other
    number is as none.
    """
    found = examined(run, outputs)
    if found is None:
        return _of_noise(run, outputs) or _of_curve(outputs)
    model = next((each for each in outputs if each.kind == OutputKind.REWARD_MODEL), None)
    others = others_of(model) if model is not None else []
    other = next((each for each in others if each.pk == beside), None)
    page = page_of(
        found,
        other=read(other) if other is not None else None,
        beside=_title(other) if other is not None else "",
        card_urls=card_urls(model),
    )
    return {
        "reward": page,
        "others": [Other(each.pk, _title(each)) for each in others],
        "beside_id": other.pk if other is not None else None,
    }


def _of_noise(run: Run, outputs: list[Artifact]) -> dict[str, Any]:
    """A run that trained a latent reward model."""
    if not any(each.kind == OutputKind.LATENT_REWARD_MODEL for each in outputs):
        return {}
    panel = over_t_panel(run.summary)
    return {} if panel is None else {"reward": RewardPage((), (panel,), ())}


def _of_curve(outputs: list[Artifact]) -> dict[str, Any]:
    """A run that trained many models to learn what more votes would bring."""
    for artifact in outputs:
        content = curve_of(artifact)
        if content is not None:
            panel = learning_panel(content, artifact.meta.get("words", {}))
            return {"reward": RewardPage(alarms=(), panels=(panel,), probes=())}
    return {}


def _title(artifact: Artifact) -> str:
    """Name, loss and run, because models of one snapshot often share their name."""
    loss = artifact.run.config.get("loss", "")
    told = loss if isinstance(loss, str) else "losses by dimension"
    return f"{artifact.run.name or artifact.run.kind} ({told}, run {artifact.run_id})"


def card_urls(model: Artifact | None) -> Mapping[str, str]:
    """Where the card of a reward model or an adapter is had from; empty where it has none."""
    if model is None or not (_has_reward_card(model) or has_card(model)):
        return {}
    return {
        "Markdown": reverse("pipelines:card-md", args=[model.pk]),
        "JSON": reverse("pipelines:card-json", args=[model.pk]),
    }


def _has_reward_card(model: Artifact) -> bool:
    return model.kind == OutputKind.REWARD_MODEL and card_of(model).is_file()
