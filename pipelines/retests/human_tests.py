"""Counting a re-test (run kind `human_test`): votes of a blind campaign into `human_test/1`.

The run waits in the queue until the votes are there (`PeopleWait`, `lifecycle.people_waits`), or
until somebody says that these are enough; then it counts what stands, and ends the campaign.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from annotation import retests
from annotation.models import Campaign
from annotation.raw_votes import pseudonym
from formats.files import read_json
from formats.labels import Label
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import Supervised
from pipelines import trainer_configs
from pipelines.models import Artifact, Run
from pipelines.retests import context as human_context
from pipelines.retests import voters as human_voters
from pipelines.retests.campaigns import RETEST
from pipelines.retests.counting import PairVotes, outcomes, results, seen_from
from pipelines.retests.notes import notes_of
from pipelines.retests.result import FILE, DimensionResult, HumanTest, PairResult, Voter
from pipelines.step_configs import StepConfig, require, whole

KIND: Final = "human_test"


@dataclass(frozen=True, slots=True)
class HumanTestConfig(StepConfig):
    """`exclude`: user names whose votes do not count. Whose work was stopped never counts.

    `exclude_careless`: nor those of whom the fixed rule says that they answer at random. It needs
    clips that differ: between sides that are nearly alike it accuses honest people.
    """

    exclude: list[str] = field(default_factory=list)
    exclude_careless: bool = False
    seed: int = 0
    resamples: int = 4000

    def __post_init__(self) -> None:
        given: object = self.exclude
        named = isinstance(given, list) and all(isinstance(name, str) for name in given)
        require(named, "exclude", "a list of user names", self.exclude)
        whole("seed", self.seed, low=0)
        whole("resamples", self.resamples, low=100)


check = partial(trainer_configs.checked, HumanTestConfig.from_json)


def perform(run: Supervised) -> Outcome:
    """Read the votes, leave out who does not count, write what remains."""
    config = HumanTestConfig.from_json(run.dir.config())
    opened = read_json(run.dir.input("retest"), RETEST)
    campaign = Campaign.objects.select_related("dimension_set").get(pk=opened["campaign"])
    run.dir.log_metrics(0, 2, stage="reading votes")
    count = _Count.of(campaign, opened, config, int(run.dir.root.name))
    run.check()
    run.dir.log_metrics(1, 2, stage="counting")
    result = count.result()
    sha256 = result.write(run.dir.outputs / FILE)
    run.dir.log_metrics(2, 2, stage="done")
    summary = summary_of(result)
    output = Output(OutputKind.HUMAN_TEST, f"outputs/{FILE}", sha256, summary)
    return Outcome(ExitCode.DONE, message=in_words(result), outputs=(output,), summary=summary)


def end_campaign(_run: Run, _outcome: Outcome, artifacts: list[Artifact]) -> None:
    """What is counted is over: nobody votes for nothing."""
    for artifact in artifacts:
        retests.end(artifact.meta["campaign"])


@dataclass(frozen=True, slots=True)
class _Count:
    """All that is known when the counting begins."""

    campaign: Campaign
    opened: Mapping[str, Any]
    config: HumanTestConfig
    run_id: int
    votes: Sequence[retests.CastVote]
    excluded: Mapping[int, str]
    gone: frozenset[int]  # withdrawn triplets

    @classmethod
    def of(
        cls, campaign: Campaign, opened: Mapping[str, Any], config: HumanTestConfig, run_id: int
    ) -> "_Count":
        gone = frozenset(retests.withdrawn_triplets(campaign))
        votes = [vote for vote in retests.votes_of(campaign) if vote.triplet not in gone]
        excluded = human_context.excluded(
            campaign, votes, config.exclude, careless=config.exclude_careless
        )
        return cls(campaign, opened, config, run_id, votes, excluded, gone)

    def result(self) -> HumanTest:
        rows = [row for row in self.opened["pairs"] if row["triplet"] not in self.gone]
        kept = human_voters.kept(self.votes, self.excluded)
        ruled = retests.ruled(self.campaign)
        asked = [_pair(row, kept.get(row["triplet"], []), ruled) for row in rows]
        same = [PairVotes(row["prompt"], identical=True) for row in self.opened["identical"]]
        titles = {
            each.key: each.title for each in self.campaign.dimension_set.to_format().dimensions
        }
        pairs = _told([*rows, *self.opened["identical"]], [*asked, *same], list(titles))
        dimensions = results(
            [*asked, *same], titles, votes_wanted=self.opened["votes_wanted"],
            seed=self.config.seed, resamples=self.config.resamples,
        )  # fmt: skip
        found = self._figures(dimensions, pairs, kept)
        earlier = human_context.counted_before(self.campaign, self.run_id)
        given = tuple(f"{note[0].upper()}{note[1:]}." for note in self.opened["notes"])
        return replace(found, notes=tuple(notes_of(found, given=given, earlier=earlier)))

    def _figures(
        self,
        dimensions: tuple[DimensionResult, ...],
        pairs: tuple[PairResult, ...],
        kept: Mapping[int, Sequence[retests.CastVote]],
    ) -> HumanTest:
        opened, counted = self.opened, [vote for votes in kept.values() for vote in votes]
        complete = retests.complete_triplets(self.campaign) - self.gone
        told = {key: opened[key] for key in _TOLD}
        voted = {vote.annotator for vote in self.votes}
        return HumanTest(
            **told,
            campaign=self.campaign.pk,
            campaign_name=self.campaign.name,
            pairs_asked=len(opened["pairs"]),
            pairs_complete=sum(row["triplet"] in complete for row in opened["pairs"]),
            pairs_identical=len(opened["identical"]),
            pairs_withdrawn=len(self.gone) + opened["left_out"]["withdrawn"],
            pairs_adjudicated=len(set(retests.ruled(self.campaign)) - self.gone),
            prompts=len({pair.prompt for pair in pairs}),
            votes_counted=len(counted),
            votes_surplus=sum(not vote.counted for vote in self.votes),
            votes_excluded=sum(vote.annotator in self.excluded for vote in self.votes),
            votes_missing=retests.votes_missing(self.campaign),
            people=len({vote.annotator for vote in counted}),
            simulated=bool(human_context.simulated(self.campaign) & voted),
            counted_early=human_context.early(self.campaign, self.run_id),
            dimensions=dimensions,
            voters=self._voters(),
            pairs=pairs,
            seed=self.config.seed,
            resamples=self.config.resamples,
        )

    def _voters(self) -> tuple[Voter, ...]:
        fits = human_voters.agrees(self.votes)
        cast: dict[int, int] = {}
        for vote in self.votes:
            cast[vote.annotator] = cast.get(vote.annotator, 0) + 1
        rows = [
            Voter(
                pseudonym(self.campaign, person), votes, fits.get(person),
                self.excluded.get(person, ""),
            )
            for person, votes in cast.items()
        ]  # fmt: skip
        return tuple(sorted(rows, key=lambda row: (bool(row.excluded), -row.votes, row.pseudonym)))


_TOLD: Final = ("base", "candidate", "dimension_set", "votes_wanted", "extra_votes")


def _pair(
    row: Mapping[str, Any],
    votes: Sequence[retests.CastVote],
    ruled: Mapping[int, Mapping[str, Label]],
) -> PairVotes:
    side = row["candidate_is"]

    def seen(labels: Mapping[str, Label]) -> dict[str, str]:
        return {key: seen_from(label, side) for key, label in labels.items()}

    settled = seen(ruled.get(row["triplet"], {}))
    return PairVotes(row["prompt"], tuple(seen(vote.labels) for vote in votes), settled)


def _told(
    rows: Sequence[Mapping[str, Any]], pairs: Sequence[PairVotes], keys: Sequence[str]
) -> tuple[PairResult, ...]:
    return tuple(
        PairResult(
            prompt=row["prompt"],
            seed=row["seed"],
            base_sha256=row["base_sha256"],
            candidate_sha256=row["candidate_sha256"],
            votes=len(pair.votes),
            outcome=outcomes(pair, keys),
        )
        for row, pair in zip(rows, pairs, strict=True)
    )


# In short.


def summary_of(result: HumanTest) -> dict[str, Any]:
    """For the row of the artifact and the page of the run."""
    kept = ("campaign", "base", "candidate", "pairs_asked", "pairs_complete", "votes_counted",
            "people")  # fmt: skip
    return {
        **{key: getattr(result, key) for key in kept},
        "dimensions": {each.key: _short(each) for each in result.dimensions},
    }


def _short(row: DimensionResult) -> dict[str, Any]:
    return {
        "rate": row.ties_half.value,
        "low": row.ties_half.low,
        "high": row.ties_half.high,
        "wins": row.wins,
        "ties": row.ties,
        "losses": row.losses,
        "p_value": row.p_value,
        "alpha": row.agreement.alpha,
    }


def in_words(result: HumanTest) -> str:
    """One sentence: who is preferred, how often, how sure."""
    overall = result.dimensions[0]
    share = overall.ties_half
    if share.value is None or share.low is None or share.high is None:
        return "No pair has been judged, so nothing can be said."
    word = "better" if share.low > 0.5 else "worse" if share.high < 0.5 else "undecided"
    return (
        f"{result.candidate} against {result.base}: {word}, win rate {share.value:.3f}"
        f" ({share.low:.3f} to {share.high:.3f}), {overall.wins} wins, {overall.ties} ties,"
        f" {overall.losses} losses by {result.people} people."
    )
