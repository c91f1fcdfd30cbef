"""Which prompts a generator is asked: a suite, or those of a campaign; one side of the split."""

from dataclasses import dataclass

from annotation.models import Campaign
from formats.records import PromptRecord
from pipelines.errors import InvalidRunConfig
from pipelines.models import Suite
from pipelines.splitting import SPLITS, TRAIN, Split
from pipelines.step_configs import StepConfig, one_of, whole
from pipelines.suites.shelf import campaign_prompts, suite_prompts, with_split


@dataclass(frozen=True, slots=True)
class Prompts(StepConfig):
    """Where prompts come from: a suite by name, or the campaign; which side; at most how many."""

    suite: str = ""
    split: str = TRAIN
    limit: int = 0  # 0: all

    def __post_init__(self) -> None:
        one_of("split", self.split, SPLITS)
        whole("limit", self.limit, low=0)


def chosen_prompts(wanted: Prompts, campaign: Campaign | None, split: Split) -> list[PromptRecord]:
    """InvalidRunConfig where there is no such list, or none of that side on it."""
    found = with_split(_all_prompts(wanted.suite, campaign), split, wanted.split)
    if not found:
        place = f"suite {wanted.suite!r}" if wanted.suite else f"campaign {campaign}"
        raise InvalidRunConfig(f"{place} has no {wanted.split} prompt")
    return found[: wanted.limit or None]


def _all_prompts(suite: str, campaign: Campaign | None) -> list[PromptRecord]:
    if suite:
        row = Suite.objects.filter(name=suite).first()
        if row is None:
            raise InvalidRunConfig(f"there is no suite {suite!r}; import it first")
        return suite_prompts(row)
    if campaign is None:
        raise InvalidRunConfig("prompts need a suite or a campaign")
    return campaign_prompts(campaign)
