"""The whole way from votes to a report, as runs that wait for one another.

    votes → snapshot → reward model
    clips of train prompts → scores → pairs → alignments
    clips of test prompts (base, each candidate) → scores, truth → evaluations → report

All rows are written at once, each naming the run that will leave its input.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import transaction

from annotation.models import Campaign
from formats.records import PromptRecord
from pipelines.contests import BASE, Contest, ContestConfig, Source
from pipelines.errors import InvalidRunConfig
from pipelines.group_runs import GroupRuns, known_group
from pipelines.models import BaseModel, LoopGroup, Run
from pipelines.prompt_choice import Prompts, chosen_prompts
from pipelines.splitting import TEST, TRAIN, VALIDATION, Split
from pipelines.step_configs import StepConfig, require

# Of a generation's config, what a watch has too.
_OF_CLIPS: Final = (
    "steps", "guidance_scale", "negative_prompt", "shift", "height", "width", "num_frames", "fps",
    "batch",
)  # fmt: skip
MAP: Final = "the map"  # in the names of the runs that serve it


@dataclass(frozen=True, slots=True)
class LoopConfig(StepConfig):
    """The steps of a loop; each section is the config of its run kind.

    `backbone` and `generator` are names of base models, `{"pretrain": {…}}`, or `{"run": id}` for
    the one that a run will leave. `votes`, `judge` (a second reward model that no candidate is
    trained on) and `truth_eval` may be left out. So may `prompts_map`: prompts of which clips are
    made and scored for the map of rewards to [0, 1] alone; without them the clips for pairs are
    their own scale. `watch` says which held-out prompts are watched while the candidates train, and
    how (`WatchSettings`; else as the test clips are made): {"prompts": {"limit": 6}, "every": 10}.
    """

    name: str = "Loop"
    votes: Mapping[str, Any] | None = None
    snapshot: Mapping[str, Any] = field(default_factory=dict)
    backbone: str | Mapping[str, Any] = ""
    generator: str | Mapping[str, Any] = ""
    reward_model: Mapping[str, Any] = field(default_factory=dict)
    judge: Mapping[str, Any] | None = None
    prompts_pairs: Mapping[str, Any] = field(default_factory=lambda: {"split": TRAIN})
    prompts_map: Mapping[str, Any] | None = None
    prompts_eval: Mapping[str, Any] = field(default_factory=lambda: {"split": TEST})
    generation_pairs: Mapping[str, Any] = field(default_factory=dict)
    scoring_pairs: Mapping[str, Any] = field(default_factory=dict)
    pairing: Mapping[str, Any] = field(default_factory=dict)
    alignments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    watch: Mapping[str, Any] | None = None
    generation_eval: Mapping[str, Any] = field(default_factory=dict)
    scoring_eval: Mapping[str, Any] = field(default_factory=dict)
    truth_eval: Mapping[str, Any] | None = None
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(self.alignments, "alignments", "a name and a config at least", self.alignments)
        require(BASE not in self.alignments, "an alignment's name", "other than base", BASE)
        require(self.backbone, "backbone", "a base model's name or a pretraining", self.backbone)
        require(self.generator, "generator", "a base model's name or a pretraining", self.generator)


def start_loop(
    campaign: Campaign,
    config: Mapping[str, Any],
    user: User,
    *,
    nonce: str | None = None,
) -> LoopGroup:
    """Write all runs of a loop, or none. The same nonce again gives the loop that it started."""
    wanted = _read(config)
    with transaction.atomic():
        if nonce is not None and (known := known_group(user, nonce, "snapshot")) is not None:
            return known
        group = LoopGroup.objects.create(name=wanted.name, campaign=campaign, created_by=user)
        _Loop(group, campaign, wanted, GroupRuns(group, user, nonce)).start()
    return group


def _read(config: Mapping[str, Any]) -> LoopConfig:
    try:
        return LoopConfig.from_json(config)
    except (ValueError, TypeError) as error:
        raise InvalidRunConfig(f"loop: {error}") from error


@dataclass(frozen=True, slots=True)
class _Loop:
    """One loop while its rows are written."""

    group: LoopGroup
    campaign: Campaign
    config: LoopConfig
    runs: GroupRuns

    def start(self) -> None:
        config = self.config
        snapshot = self._snapshot()
        backbone = self._base_model("backbone", config.backbone, BaseModel.Role.VLM)
        generator = self._base_model("generator", config.generator, BaseModel.Role.GENERATOR)
        learned = {"snapshot": snapshot, "backbone": backbone}
        judges = {"reward": self._run("reward_model", config.reward_model, learned, "Reward model")}
        if config.judge is not None:
            judges["judge"] = self._run("reward_model", config.judge, learned, "Independent judge")
        pairs = self._pairs(judges["reward"], backbone, generator)
        given = {"pairs": pairs, "generator": generator}
        watched, files = self._watched(judges, backbone)
        candidates = {
            name: self._run(
                "alignment", self._watching(values), {**given, **watched}, name, files=files
            )
            for name, values in config.alignments.items()
        }
        self._contest(judges, backbone, generator).hold(candidates)
        if config.watch is not None and config.truth_eval is not None:
            for name, run in candidates.items():
                looks = {"generations": run}
                self._run("truth", config.truth_eval, looks, f"Truth while {name} trains")

    def _watched(
        self, judges: Mapping[str, Run], backbone: Source
    ) -> tuple[dict[str, Source], dict[str, list[PromptRecord]]]:
        """What a candidate is given so that it is watched: judges, and held-out prompts."""
        if self.config.watch is None:
            return {}, {}
        inputs: dict[str, Source] = {
            "reward_model": judges["reward"], "reward_backbone": backbone,
        }  # fmt: skip
        if "judge" in judges:
            inputs |= {"judge": judges["judge"], "judge_backbone": backbone}
        held_out = {"split": VALIDATION, **self.config.watch.get("prompts", {})}
        return inputs, {"watch_prompts": self._prompts(held_out)}

    def _watching(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The config of a candidate; its clips are made like those that it is tested on."""
        if self.config.watch is None:
            return dict(values)
        test = self.config.generation_eval
        as_tested = {name: test[name] for name in _OF_CLIPS if name in test}
        own = {name: each for name, each in self.config.watch.items() if name != "prompts"}
        return {**values, "watch": {**as_tested, **own, **values.get("watch", {})}}

    def _run(
        self,
        kind: str,
        values: Mapping[str, Any],
        inputs: Mapping[str, Source],
        name: str,
        **options: Any,
    ) -> Run:
        return self.runs.start(kind, values, inputs, name, **options)

    def _snapshot(self) -> Run:
        inputs: dict[str, Source] = {}
        if self.config.votes is not None:
            votes = {"campaign": self.campaign.pk, **self.config.votes}
            inputs["votes"] = self._run("votes", votes, {}, "Votes")
        values = {**self.config.snapshot, "campaign": self.campaign.pk}
        return self._run("snapshot", values, inputs, "Snapshot")

    def _base_model(
        self, role: str, wanted: str | Mapping[str, Any], expected: BaseModel.Role
    ) -> Source:
        if not isinstance(wanted, str) and "run" in wanted:
            return Run.objects.get(pk=wanted["run"])
        if not isinstance(wanted, str):
            return self._run("pretrain", wanted.get("pretrain", {}), {}, f"Pretrained {role}")
        found = BaseModel.objects.filter(name=wanted, role=expected).first()
        if found is None:
            known = BaseModel.objects.filter(role=expected).values_list("name", flat=True)
            there = ", ".join(known) or "none"
            raise InvalidRunConfig(f"there is no {role} named {wanted!r}; there are: {there}")
        return found

    def _pairs(self, reward_model: Run, backbone: Source, generator: Source) -> Run:
        judge = {"reward_model": reward_model, "backbone": backbone}
        clips, scores = self._scored(self.config.prompts_pairs, generator, judge, "pairs")
        inputs: dict[str, Source] = {"generations": clips, "scores": scores}
        if self.config.prompts_map is not None:
            held_out = {"split": VALIDATION, **self.config.prompts_map}
            clips, scores = self._scored(held_out, generator, judge, MAP)
            inputs |= {"validation": clips, "validation_scores": scores}
        return self._run("pairing", self.config.pairing, inputs, "Pairs")

    def _scored(
        self, prompts: Mapping[str, Any], generator: Source, judge: Mapping[str, Source], what: str
    ) -> tuple[Run, Run]:
        """Clips of the base for these prompts, and what the reward model thinks of them."""
        clips = self._run(
            "generation", self._made_by(self.config.generation_pairs), {"generator": generator},
            f"Clips for {what}", files={"prompts": self._prompts(prompts)},
        )  # fmt: skip
        inputs = {**judge, "generations": clips}
        return clips, self._run("scoring", self.config.scoring_pairs, inputs, f"Scores for {what}")

    def _made_by(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The config with the name that clips of the base carry on pages and in records."""
        base = self.config.generator if isinstance(self.config.generator, str) else "pretrained"
        return {**values, "generator": values.get("generator") or base}

    def _prompts(self, values: Mapping[str, Any]) -> list[PromptRecord]:
        split = Split.from_json(self.config.snapshot.get("split", {}))
        return chosen_prompts(Prompts.from_json(values), self.campaign, split)

    def _contest(self, judges: Mapping[str, Run], backbone: Source, generator: Source) -> Contest:
        config = self.config
        generation = self._made_by(config.generation_eval)
        wanted = ContestConfig(
            generation=generation,
            scoring=config.scoring_eval,
            truth=config.truth_eval,
            evaluation=config.evaluation,
            report=config.report,
            clips_of=generation["generator"],
            mark=f"loop {self.group.pk}",
        )
        prompts = self._prompts(config.prompts_eval)
        return Contest(self._run, wanted, prompts, generator, judges, backbone)
