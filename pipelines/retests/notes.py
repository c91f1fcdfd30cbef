"""What a reader of a re-test must know beside its figures: one sentence each. Pure."""

from collections.abc import Iterator
from typing import Final

from pipelines.retests.result import HumanTest

FEW: Final = 30  # decided pairs; with fewer an interval is wider than a third


def notes_of(result: HumanTest, *, given: tuple[str, ...] = (), earlier: int = 0) -> list[str]:
    """`given`: what the campaign was opened with; `earlier`: how often it was counted before."""
    return [*given, *_who(result), *_what(result), *_when(result, earlier)]


def _who(result: HumanTest) -> Iterator[str]:
    if result.simulated:
        yield "Simulated annotators of the demo voted, all of them or some."
    left_out = [each for each in result.voters if each.excluded]
    if left_out:
        who = "1 annotator does" if len(left_out) == 1 else f"{len(left_out)} annotators do"
        reasons = {each.excluded.rstrip(".") for each in left_out}
        why = reasons.pop() if len(reasons) == 1 else "the list of annotators says why"
        yield f"{result.votes_excluded} votes of {who} not count: {why}."
    if result.people == 1:
        yield "All votes are those of one person, so nothing says how far people agree."
    if not result.votes_counted:
        yield "No vote counts, so nothing can be said."


def _what(result: HumanTest) -> Iterator[str]:
    overall = result.of("overall")
    if overall is not None and overall.counted and overall.wins + overall.losses < FEW:
        yield (
            f"Only {overall.wins + overall.losses} pairs are decided overall: the intervals are"
            " wide, and more votes are needed for a firm word."
        )
    for count, one, many, words in (
        (result.pairs_identical, "has", "have", "the same clip on both sides: a tie, not asked"),
        (result.pairs_withdrawn, "is", "are", "left out, because a clip was withdrawn"),
        (result.pairs_adjudicated, "was", "were", "settled by a lead, blind"),
        (_on_one_vote(result), "rests", "rest", "on a single vote"),
    ):
        if count:
            yield f"1 pair {one} {words}." if count == 1 else f"{count} pairs {many} {words}."


def _on_one_vote(result: HumanTest) -> int:
    return sum(each.votes == 1 for each in result.pairs) if result.votes_wanted > 1 else 0


def _when(result: HumanTest, earlier: int) -> Iterator[str]:
    if result.counted_early:
        yield (
            f"Counted before all votes were there ({result.counted_early}; {result.votes_missing}"
            " were missing): who stops when the figures please finds what pleases too often."
        )
    if earlier:
        yield f"The votes were counted {earlier} times before; intervals do not allow for that."
