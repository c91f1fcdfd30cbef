"""One click from two adapters to what people say: the runs of a human re-test, written at once.

    (clips of both sides on the same prompts and seeds) → blind campaign → votes of people, or of
    the demo's simulated annotators → count, when the votes are there → report

The pages, the REST door and the command call `start_retest`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from annotation.models import Campaign
from formats.records import PromptRecord
from pipelines.contests import Source
from pipelines.errors import InvalidRunConfig
from pipelines.group_runs import GroupRuns, known_group
from pipelines.models import GroupKind, LoopGroup, Run
from pipelines.prompt_choice import Prompts, chosen_prompts
from pipelines.retests import campaigns as retest_campaigns
from pipelines.retests import human_tests
from pipelines.retests.sources import Origin, Side, Sides, is_generator, sides_of
from pipelines.splitting import TEST, Split
from pipelines.step_configs import StepConfig

_FIRST: Final = "Blind campaign"
_USUAL_SET: Final = "videoalign"
# Of a generation's config, what belongs to one set of clips and not to how clips are made.
_OWN: Final = ("generator", "chunk", "chunks")


@dataclass(frozen=True, slots=True)
class RetestPlan(StepConfig):
    """What is asked of how many people about how many clips; all of it may be left out.

    `base_name`, `candidate_name`: on pages and in the report. `simulated`: the simulated annotators
    of the demo vote. `prompts` (a suite, a side of the split, a limit), `split` and `generation`
    are for clips that must be made. `count`: config of the counting, `report`: of the report.
    """

    name: str = ""
    base_name: str = ""
    candidate_name: str = ""
    dimension_set: str = ""
    votes_wanted: int = 2
    extra_votes: int = 1
    limit: int = 0
    annotators: list[str] = field(default_factory=list)
    instructions: str = ""
    allow_differing: bool = False
    simulated: bool = False
    prompts: Mapping[str, Any] = field(default_factory=dict)
    split: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    count: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)


def start_retest(
    config: Mapping[str, Any],
    inputs: Mapping[str, Source],
    user: User,
    *,
    nonce: str | None = None,
    site: str = "",
) -> LoopGroup:
    """Write all runs of a re-test, or none; InvalidRunConfig, one sentence, where it cannot be.

    `inputs`: see `retest_sources.sides_of`. `site`: where simulated annotators reach it. The same
    nonce again gives the re-test that it started.
    """
    plan = _read(config)
    sides = sides_of(inputs, (plan.base_name, plan.candidate_name))
    with transaction.atomic():
        step = f"{retest_campaigns.KIND} {_FIRST}"
        if nonce is not None and (known := known_group(user, nonce, step)) is not None:
            return known
        title = plan.name or f"{sides.candidate.name} against {sides.base.name}, by people"
        group = LoopGroup.objects.create(
            name=title[:200], kind=GroupKind.RETEST, config=plan.to_json(), created_by=user
        )
        runs = GroupRuns(group, user, nonce)
        _Retest(runs, plan, sides, Origin.of(sides)).start(site)
    return group


def _read(config: Mapping[str, Any]) -> RetestPlan:
    try:
        return RetestPlan.from_json(config)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidRunConfig(f"re-test: {error}") from error


@dataclass(frozen=True, slots=True)
class _Retest:
    """One re-test while its rows are written."""

    runs: GroupRuns
    plan: RetestPlan
    sides: Sides
    origin: Origin

    def start(self, site: str) -> None:
        clips = {
            role: side.clips or self._made(role, side)
            for role, side in (("base", self.sides.base), ("candidate", self.sides.candidate))
        }
        campaign = self._campaign_config()
        opened = self.runs.start(retest_campaigns.KIND, campaign, clips, _FIRST)
        if self.plan.simulated:
            votes = self._votes(campaign["name"], site)
            self.runs.start("votes", votes, {"retest": opened}, "Votes of simulated annotators")
        count = self.runs.start(
            human_tests.KIND, self.plan.count, {"retest": opened}, "Count of the votes"
        )
        found: dict[str, Source] = {f"human_test:{self.sides.candidate.name}": count}
        if self.sides.evaluation is not None:
            found[f"evaluation:{self.sides.candidate.name}"] = self.sides.evaluation
        report = {"title": self.runs.group.name, **self.plan.report}
        self.runs.start("report", report, found, "Report")

    def _campaign_config(self) -> dict[str, Any]:
        plan = self.plan
        kept = ("votes_wanted", "extra_votes", "limit", "annotators", "instructions",
                "allow_differing")  # fmt: skip
        return {
            **{key: getattr(plan, key) for key in kept},
            # Annotators read it: it names neither side.
            "name": f"Side by side {self.runs.group.pk}",
            "base": self.sides.base.name,
            "candidate": self.sides.candidate.name,
            "dimension_set": plan.dimension_set or self.origin.dimension_set or _USUAL_SET,
        }

    # Clips that are not there yet.

    def _made(self, role: str, side: Side) -> Run:
        generator = self.sides.generator
        if generator is None or not is_generator(generator):
            raise InvalidRunConfig(
                "the adapters have no clips on the same prompts, and nothing says which generator"
                " they belong to: give it as an input 'generator'"
            )
        inputs: dict[str, Source] = {"generator": generator}
        values = {**self._sampling(), "generator": f"{side.name} (re-test {self.runs.group.pk})"}
        if side.adapter is not None:
            inputs["adapter"] = side.adapter
        name = f"Clips of {role}: {side.name}"
        return self.runs.start(
            "generation", values, inputs, name, files={"prompts": self._prompts()}
        )

    def _sampling(self) -> dict[str, Any]:
        """As clips were made before in the lineage of the adapters."""
        known = self.origin.generation
        before = {} if known is None else known.config
        return {k: v for k, v in before.items() if k not in _OWN} | dict(self.plan.generation)

    def _prompts(self) -> list[PromptRecord]:
        """Held-out prompts: those of the test side, unless a suite is named."""
        snapshot = self.origin.snapshot
        meta = {} if snapshot is None else snapshot.meta
        campaign = Campaign.objects.filter(pk=meta.get("campaign", 0)).first()
        try:
            split = Split.from_json(self.plan.split or meta.get("split", {}))
            wanted = Prompts.from_json({"split": TEST, **self.plan.prompts})
            return chosen_prompts(wanted, campaign, split)
        except (ValueError, TypeError, InvalidRunConfig) as error:
            raise InvalidRunConfig(f"prompts: {error}") from error

    # Who votes on the demo.

    def _votes(self, campaign: str, site: str) -> dict[str, Any]:
        """The same simulated people that voted before; what clips are worth they measure."""
        known = self.origin.votes
        if not settings.TIEBREAK_DEMO or known is None:
            raise InvalidRunConfig(
                "simulated annotators vote on a site that `make run` has brought up, about clips of"
                " its demo worlds; ask people here"
            )
        config = {k: v for k, v in known.config.items() if k not in ("votes_each", "recipes")}
        return {**config, "campaign": campaign, "url": site or config["url"]}


def offers_simulated(sides: Sides) -> bool:
    """Whether the simulated annotators of the demo can be asked about these clips."""
    return bool(settings.TIEBREAK_DEMO) and Origin.of(sides).votes is not None
