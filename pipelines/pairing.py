"""The run that makes preference pairs: from human consensus, from rewards, or from both in one set.

The rules stand in `pairs_of_people` and `pairs_of_rewards`; here the inputs are read, the map of
totals to [0, 1] is fitted or taken over, and the set is written.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from formats.errors import FormatError
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord
from formats.supervised import Supervised
from pipelines.pairs.files import write_pairs
from pipelines.pairs.guards import Guards
from pipelines.pairs.looks import StoredClips
from pipelines.pairs.material import Material, judge_of, read_material
from pipelines.pairs.of_people import judged_by_people, pairs_from_votes
from pipelines.pairs.of_rewards import pairs_from_scores
from pipelines.pairs.rules import Pairing, PairingConfig, Rules, summary_of
from pipelines.rewards.maps import RewardMap, fitted
from pipelines.scoring import Reward, rewards_of
from pipelines.splitting import VALIDATION
from pipelines.start_images import prompt_key
from pipelines.step_configs import StepConfigError

_STAGES: Final = 3
_TOLD_EVERY: Final = 100  # clips


def perform(run: Supervised) -> Outcome:
    """Build the pairs of a generation set and its scores, of a snapshot's consensus, or of both."""
    config = PairingConfig.from_json(run.dir.config())
    run.dir.log_metrics(0, _STAGES, stage="reading")
    given = read_material(run.dir, config)
    run.check()
    run.dir.log_metrics(1, _STAGES, stage="comparing clips")
    reward_map = map_of(given, config, reward_model=judge_of(run.dir))
    looks = StoredClips(given.sha256s, between=lambda seen: _looked(run, seen))
    guards = Guards(looks, config.allow)
    found = pairs_of(given, config, rules_of(given, config, reward_map, looks, guards))
    if not found.pairs:
        raise FormatError(_nothing_left(found))
    run.dir.log_metrics(2, _STAGES, stage="writing")
    summary = {**summary_of(found, config), "watermark_not_visible": guards.unseen}
    if reward_map is not None:
        summary["reward_map"] = reward_map.facts()
    sha256 = write_pairs(run.dir.outputs / "pairs", found, reward_map, summary)
    run.dir.log_metrics(_STAGES, _STAGES, stage="done")
    output = Output(OutputKind.PAIRS, "outputs/pairs", sha256, summary)
    return Outcome(ExitCode.DONE, outputs=(output,), summary=summary)


def _looked(run: Supervised, seen: int) -> None:
    """Before each clip that is decoded: this is where the time of a pairing goes."""
    run.check()
    if seen and seen % _TOLD_EVERY == 0:
        run.dir.log_metrics(1, _STAGES, stage=f"comparing clips: {seen} looked at")


def pairs_of(given: Material, config: PairingConfig, rules: Rules) -> Pairing:
    """People first; what they judged is not judged again by rewards."""
    people = pairs_from_votes(given.judged, config, rules)
    judged = judged_by_people(given.judged)
    return people + pairs_from_scores(
        given.clips, given.scores, config, replace(rules, judged=judged)
    )


def rules_of(
    given: Material,
    config: PairingConfig,
    reward_map: RewardMap | None,
    looks: StoredClips,
    guards: Guards,
) -> Rules:
    return Rules(
        locate=looks.located,
        guard=guards,
        to_unit=reward_map,
        reward_of=_by_content(
            [*given.judged_clips, *given.clips],
            rewards_of([*given.judged_scores, *given.scores], config.weights),
        ),
        withdrawn=looks.withdrawn,
    )


def _by_content(
    clips: Iterable[GenerationRecord], rewards: dict[str, Reward]
) -> dict[tuple[str, str], Reward]:
    """People and a reward model know the same clip under two ids: its content is one."""
    return {
        (prompt_key(clip.prompt, clip.image), clip.video.sha256): rewards[clip.video.id]
        for clip in clips
        if clip.video.id in rewards
    }


def _nothing_left(found: Pairing) -> str:
    counts = found.refused + found.left_out
    why = ", ".join(f"{reason}: {n}" for reason, n in sorted(counts.items())) or "no clips at all"
    return f"no preference pair came out ({why})"


# The map of totals to [0, 1].


def map_of(given: Material, config: PairingConfig, *, reward_model: str = "") -> RewardMap | None:
    """Taken over, or fitted: on all clips of validation prompts that are given, else on those that
    are paired.

    None where no clip was scored: then people's shares of votes are in [0, 1] already.
    """
    if given.reward_map is not None:
        _refuse_other_model(given.reward_map, reward_model)
        return given.reward_map
    facts = {"weights": config.weights, "reward_model": reward_model}
    held_out = _validation_totals(given, config)
    if held_out:
        return fitted(held_out, config.mapping, fitted_on=VALIDATION, **facts)
    rewards = rewards_of(given.scores or given.judged_scores, config.weights)
    own = _totals(given.clips or given.judged_clips, rewards, config.split)
    return fitted(own, config.mapping, fitted_on=config.split, **facts) if own else None


def _validation_totals(given: Material, config: PairingConfig) -> list[float]:
    """FormatError where clips were given for this, and no two totals of them differ."""
    # Together: a dimension that one of them lacks is an error.
    scores = [*given.scores, *given.judged_scores, *given.validation_scores]
    clips = [*given.clips, *given.judged_clips, *given.validation_clips]
    totals = _totals(clips, rewards_of(scores, config.weights), VALIDATION)
    if len(set(totals)) > 1:
        return totals
    if given.validation_clips:
        raise FormatError(
            f"the map to [0, 1] cannot be fitted: of {len(given.validation_clips)} clips in "
            f"'validation', {len(totals)} are scored and of validation prompts, with "
            f"{len(set(totals))} different totals; two are needed at least"
        )
    return []


def _totals(
    clips: Iterable[GenerationRecord], rewards: dict[str, Reward], split: str
) -> list[float]:
    return [
        rewards[clip.video.id].total
        for clip in clips
        if clip.split == split and clip.video.id in rewards
    ]


def _refuse_other_model(found: RewardMap, reward_model: str) -> None:
    if found.reward_model and reward_model and found.reward_model != reward_model:
        raise StepConfigError(
            f"the map belongs to the reward model {found.reward_model[:12]}, and these scores come "
            f"from {reward_model[:12]}"
        )
