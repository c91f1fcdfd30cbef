"""What a report knows of each candidate, brought together for the rules (`recommending`)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pipelines.diversity import DIVERSITY
from pipelines.evaluation import MOTION, OVERALL
from pipelines.reports.recommending import (
    BASE,
    Evidence,
    Fall,
    Judge,
    Opinion,
    Rate,
    Verdict,
    verdict_on,
)
from pipelines.retests.result import DimensionResult, HumanTest

TRUTH: Final = "truth"
PEOPLE: Final = "people"
_NOTHING: Final = Rate(0.5, 0.0, 1.0, 0)  # asked, and no vote counts: any rate is as likely


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate with the evaluation and the re-tests of it; either may be missing."""

    name: str
    evaluation: Mapping[str, Any] | None
    tests: Sequence[HumanTest] = ()

    @property
    def judges(self) -> Sequence[Mapping[str, Any]]:
        return self.evaluation["judges"] if self.evaluation else ()

    @property
    def measures(self) -> Mapping[str, Any]:
        return self.evaluation.get("measures", {}) if self.evaluation else {}


def candidates_of(
    evaluations: Iterable[Mapping[str, Any]], tests: Mapping[str, HumanTest]
) -> list[Candidate]:
    """By name: a re-test belongs to the candidate that its role or its file names."""
    found = {each["candidate"]: each for each in evaluations}
    of: dict[str, list[HumanTest]] = {name: [] for name in found}
    for role, test in tests.items():
        named = next((name for name in (role, test.candidate) if name in found), test.candidate)
        of.setdefault(named, []).append(test)
    return [Candidate(name, found.get(name), each) for name, each in of.items()]


def evidence_of(candidate: Candidate) -> Evidence:
    """Opinions of all judges and of people, and what fell among the measures."""
    opinions = [*_of_people(candidate.tests), *(_of_judge(each) for each in candidate.judges)]
    if not opinions and candidate.tests:
        votes = max(1, candidate.tests[-1].votes_wanted)
        opinions = [Opinion(PEOPLE, Judge.PEOPLE, _NOTHING, votes=votes)]
    known = Evidence(candidate.name, tuple(opinions), tuple(_falls(candidate.measures)))
    return replace(known, lost=_lost(known, candidate), base=_base(candidate))


def _base(candidate: Candidate) -> str:
    """What it was compared with: people may have been shown two adapters."""
    named = candidate.tests[-1].base if candidate.tests else "base"
    return BASE if candidate.evaluation is not None or named == "base" else named


def _of_people(tests: Iterable[HumanTest]) -> Iterable[Opinion]:
    """The newest re-test with an answer; an earlier one of the same candidate is shown, not used.

    Two intervals of overlapping prompts cannot simply be put together.
    """
    answered = [(test, row) for test in tests if (row := test.of(OVERALL)) and row.ties_half.pairs]
    for test, row in answered[-1:]:
        yield Opinion(PEOPLE, Judge.PEOPLE, _rate_of(row), votes=max(1, test.votes_wanted))


def _rate_of(row: DimensionResult) -> Rate:
    """Over prompts; where one prompt is all there is, over pairs (Wilson)."""
    share = row.ties_half
    low = share.wilson_low if share.low is None else share.low
    high = share.wilson_high if share.high is None else share.high
    assert share.value is not None
    assert low is not None
    assert high is not None
    return Rate(share.value, low, high, share.pairs)


def _of_judge(judge: Mapping[str, Any]) -> Opinion:
    overall = judge["dimensions"][OVERALL]
    rate = Rate(overall["rate"], overall["low"], overall["high"], overall.get("prompts", 0))
    return Opinion(judge["judge"], kind_of(judge), rate)


def kind_of(judge: Mapping[str, Any]) -> Judge:
    """How far a judge of an evaluation is from the training."""
    if judge["judge"] == TRUTH:
        return Judge.TRUTH
    if judge["was_training_reward"]:
        return Judge.TRAINING
    return Judge.SAME_VOTES if judge.get("shares_votes") else Judge.INDEPENDENT


def _falls(measures: Mapping[str, Mapping[str, Any]]) -> Iterable[Fall]:
    for name in (MOTION, DIVERSITY):
        if (each := measures.get(name)) is not None:
            yield Fall(name, each["base"], each["candidate"], each["high"])


def _lost(known: Evidence, candidate: Candidate) -> tuple[str, ...]:
    """Dimensions on which the judge that decides says worse beyond doubt."""
    if known.decides is None:
        return ()
    if known.decides.kind is Judge.PEOPLE:
        rows = [row for test in candidate.tests[-1:] for row in test.dimensions]
        told = {row.key: row.ties_half.high for row in rows}
    else:
        judge = next(each for each in candidate.judges if each["judge"] == known.decides.judge)
        told = {key: rate["high"] for key, rate in judge["dimensions"].items()}
    return tuple(
        key for key, high in told.items() if key != OVERALL and high is not None and high < 0.5
    )


def row_of(candidate: Candidate, evidence: Evidence, verdict: Verdict) -> dict[str, Any]:
    """The line of report.json on one candidate."""
    decides = evidence.decides
    return {
        "candidate": candidate.name,
        "base": evidence.base,
        "verdict": str(verdict.word),
        "rule": verdict.rule,
        "because": verdict.because,
        "judge": verdict.judge,
        "was_training_reward": decides is None,
        "overall": {
            "rate": verdict.overall.rate,
            "low": verdict.overall.low,
            "high": verdict.overall.high,
            "n": verdict.overall.n,
        },
        "more": verdict.more,
        "unit": verdict.unit,
        "votes": verdict.votes,
        "lost": list(evidence.lost),
        # By pixels alone: a candidate may win on all that is judged and stand stiller.
        "motion": candidate.measures.get(MOTION),
        "diversity": candidate.measures.get(DIVERSITY),
        "said": words_on_judges(candidate, evidence),
    }


def words_on_judges(candidate: Candidate, evidence: Evidence) -> list[str]:
    """What a reader must know of who judged, one sentence each."""
    said = []
    if trained := [each.judge for each in evidence.by(Judge.TRAINING)]:
        said.append(
            f"{candidate.name} was trained on the judge {', '.join(trained)}: its rise there says "
            "that the training worked, not that the clips are better."
        )
    if not evidence.by(Judge.PEOPLE, Judge.TRUTH, Judge.INDEPENDENT, Judge.SAME_VOTES):
        said.append(
            "No independent judge was asked: nobody but the training reward speaks of these clips."
        )
    if twins := [each.judge for each in evidence.by(Judge.SAME_VOTES)]:
        said.append(
            f"The judge {', '.join(twins)} is not the training reward, but learned from the same "
            "votes: what those votes miss, both miss."
        )
    reasons = (candidate.evaluation or {}).get("not_measured", {})
    said += [f"No figure of {name}: {why}" for name, why in sorted(reasons.items())]
    return said


def judged(candidate: Candidate) -> dict[str, Any]:
    """Evidence, verdict and line in one go."""
    evidence = evidence_of(candidate)
    return row_of(candidate, evidence, verdict_on(evidence))
