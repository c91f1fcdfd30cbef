"""What a pairing run was given: read, and refused where it does not fit together."""

from dataclasses import dataclass

from formats.errors import FormatError
from formats.records import GenerationRecord, PreferenceRecord, ScoreRecord
from formats.run_dir import RunDir
from formats.snapshot import read_snapshot
from pipelines.generations import read_generations
from pipelines.models import RunInput
from pipelines.pairs.rules import PairingConfig
from pipelines.rewards.maps import RewardMap
from pipelines.scoring import read_scores
from pipelines.step_configs import StepConfigError


@dataclass(frozen=True, slots=True)
class Material:
    """What a pairing run was given. Nothing is there that was not.

    Clips that people judged have scores of their own where they came from elsewhere.
    """

    judged: list[PreferenceRecord]
    judged_clips: list[GenerationRecord]
    judged_scores: list[ScoreRecord]
    clips: list[GenerationRecord]
    scores: list[ScoreRecord]
    validation_clips: list[GenerationRecord]
    validation_scores: list[ScoreRecord]
    reward_map: RewardMap | None  # taken over from other pairs

    @property
    def sha256s(self) -> set[str]:
        people = {
            video.sha256
            for each in self.judged
            for video in (each.video_a, each.video_b)
            if video is not None
        }
        return people | {each.video.sha256 for each in self.clips}


def read_material(run_dir: RunDir, config: PairingConfig) -> Material:
    """StepConfigError where the inputs do not make one of the three ways."""
    has = {role: run_dir.has_input(role) for role in ("snapshot", "generations", "scores")}
    if has["generations"] != has["scores"] or not any(has.values()):
        missing = "scores" if has["generations"] else "generations"
        raise StepConfigError(
            f"the input {missing!r} is missing: pairs need generations and scores, or a snapshot, "
            "or all three"
        )
    return Material(
        _judged(run_dir, config, with_rewards=has["scores"]),
        *_scored(run_dir, "judged_clips", "judged_scores"),
        *_scored(run_dir, "generations", "scores"),
        *_scored(run_dir, "validation", "validation_scores"),
        _map_taken_over(run_dir, config),
    )


def _scored(
    run_dir: RunDir, clips: str, scores: str
) -> tuple[list[GenerationRecord], list[ScoreRecord]]:
    has = [run_dir.has_input(each) for each in (clips, scores)]
    if not any(has):
        return [], []
    if not all(has):
        missing = scores if has[0] else clips
        raise StepConfigError(f"the input {missing!r} is missing: {clips} and {scores} go together")
    return read_generations(run_dir.input(clips)), read_scores(run_dir.input(scores))


def _judged(
    run_dir: RunDir, config: PairingConfig, *, with_rewards: bool
) -> list[PreferenceRecord]:
    if not run_dir.has_input("snapshot"):
        if config.minimum_margin:
            raise StepConfigError("minimum_margin speaks of people, and no snapshot is given")
        return []
    if config.minimum_gap and not with_rewards:
        raise StepConfigError(
            "minimum_gap speaks of rewards, and no scores are given; use minimum_margin for people"
        )
    snapshot = read_snapshot(run_dir.input("snapshot"))
    known = snapshot.dimensions.keys
    for key in config.weights:
        if key not in known:
            raise StepConfigError(
                f"weights name the dimension {key!r}, which the snapshot does not have; "
                f"there are {', '.join(known)}"
            )
    return snapshot.records


def _map_taken_over(run_dir: RunDir, config: PairingConfig) -> RewardMap | None:
    if not run_dir.has_input("reward_map"):
        return None
    path = run_dir.input("reward_map")
    found = RewardMap.read(path)
    if found is None:
        raise FormatError("these pairs were stored without a map of rewards to [0, 1]", path=path)
    if dict(found.weights) != config.weights:
        raise StepConfigError(
            f"the map was fitted on totals with the weights {dict(found.weights) or 'all equal'}, "
            f"and this run asks for {config.weights or 'all equal'}"
        )
    return found


def judge_of(run_dir: RunDir) -> str:
    """The reward model of these scores; one map cannot serve two."""
    roles = ("scores", "judged_scores", "validation_scores")
    judges = {role: judge for role in roles if (judge := _reward_model(run_dir, role))}
    if len(set(judges.values())) > 1:
        said = ", ".join(f"{role} from {judge[:12]}" for role, judge in judges.items())
        raise StepConfigError(f"all scores must come from one reward model; there are {said}")
    return next(iter(judges.values()), "")


def _reward_model(run_dir: RunDir, role: str) -> str:
    """The address of the reward model behind a score set; empty where it does not say."""
    row = RunInput.objects.filter(run=int(run_dir.root.name), role=role).first()
    artifact = row.artifact if row is not None else None
    return str(artifact.meta.get("reward_model", "")) if artifact is not None else ""
