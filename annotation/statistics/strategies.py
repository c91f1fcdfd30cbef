"""Which pairs to ask about: pure functions over clips that know their prompt and generator.

Pairs are drawn one by one. A strategy says which two generators come next; among their pairs the
one is taken whose prompt, and then whose clips, were asked about least. So every strategy is
stratified by prompt and by pair of generators; equal input with an equal seed gives equal pairs.
"""

import heapq
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations, pairwise
from typing import Final, NamedTuple

import numpy as np

from annotation.errors import CampaignError
from annotation.statistics.gaining import Belief, Floats

MOST: Final = 1_000_000  # pairs of one plan
_LOOKS: Final = 2_000  # how often the active strategy weighs all generators anew

Stratum = tuple[str, ...]  # the generators compared, in order; one where a clip stands alone


class Strategy(StrEnum):
    ALL = "all"  # every two generators, on every prompt
    BALANCED = "balanced"  # each two generators equally often, each clip equally often
    CHAIN = "chain"  # the fewest pairs that tie the clips of a prompt together
    ACTIVE = "active"  # where the fit of Bradley and Terry's model is least sure


class Candidate(NamedTuple):
    """A clip that may be asked about; its generator is empty where nobody knows it."""

    prompt: int
    generator: str
    clip: str


Pick = tuple[Candidate, ...]  # two clips of one prompt, or one alone


@dataclass(slots=True)
class Asked:
    """What was asked before: it counts for the balance, and is not asked again."""

    picks: set[frozenset[str]] = field(default_factory=set)
    strata: Counter[Stratum] = field(default_factory=Counter)
    prompts: Counter[int] = field(default_factory=Counter)
    clips: Counter[str] = field(default_factory=Counter)

    def note(self, pick: Pick) -> None:
        self.picks.add(frozenset(each.clip for each in pick))
        self.strata[stratum_of(pick)] += 1
        self.prompts[pick[0].prompt] += 1
        self.clips.update(each.clip for each in pick)


def stratum_of(pick: Pick) -> Stratum:
    if len(pick) == 1:
        return (pick[0].generator,)
    a, b = pick[0].generator, pick[1].generator
    return (a, b) if a <= b else (b, a)


def propose(
    candidates: Sequence[Candidate],
    strategy: Strategy,
    *,
    budget: int | None = None,
    seed: int = 0,
    asked: Asked | None = None,
    beliefs: Sequence[Belief] = (),
    single: bool = False,
) -> list[Pick]:
    """The pairs to ask about next, in the order in which they were drawn; at most `budget`.

    `asked` is read and grows with what is drawn. `beliefs`: what is known of the generators, one
    per dimension; only the active strategy wants them.
    """
    if budget is not None and not 1 <= budget <= MOST:
        raise CampaignError(f"a budget must be from 1 to {MOST} pairs, got {budget}")
    if budget is None and strategy in {Strategy.BALANCED, Strategy.ACTIVE}:
        raise CampaignError(f"the strategy {strategy.value} draws until a budget; name one")
    chance = random.Random(seed)
    done = asked if asked is not None else Asked()
    picks = _possible(sorted(candidates), strategy, chance, single=single)
    draw = _Draw(done, chance)
    for pick in picks:
        draw.add(pick)
    most = MOST if budget is None else budget
    if strategy is Strategy.ACTIVE:
        order = _by_gain(draw, beliefs or [Belief()], block=max(1, most // _LOOKS))
    else:
        order = _by_balance(draw, done.strata)
    return list(_drawn(draw, order, most))


def _possible(
    candidates: Sequence[Candidate], strategy: Strategy, chance: random.Random, *, single: bool
) -> Iterator[Pick]:
    if single:
        return ((each,) for each in candidates)
    by_prompt: dict[int, list[Candidate]] = defaultdict(list)
    for each in candidates:
        by_prompt[each.prompt].append(each)
    if strategy is Strategy.CHAIN:
        return (pick for clips in by_prompt.values() for pick in _chain(clips, chance))
    return (
        pick for clips in by_prompt.values() for pick in combinations(clips, 2) if _may_meet(*pick)
    )


def _may_meet(a: Candidate, b: Candidate) -> bool:
    """Two clips of one generator say nothing of generators; of unknown ones, they may."""
    return a.generator != b.generator or not a.generator


def _chain(clips: Sequence[Candidate], chance: random.Random) -> Iterator[Pick]:
    """Generators in a new order for every prompt, their clips one after the other in turns."""
    by_generator: dict[str, list[Candidate]] = defaultdict(list)
    for each in clips:
        by_generator[each.generator].append(each)
    turns = list(by_generator.values())
    chance.shuffle(turns)
    longest = max(map(len, turns))
    line = [clips[n] for n in range(longest) for clips in turns if n < len(clips)]
    return (pick for pick in pairwise(line) if _may_meet(*pick))


@dataclass(slots=True)
class _Draw:
    """What may still be drawn, by the generators compared; a heap each, mended when looked at."""

    asked: Asked
    chance: random.Random
    heaps: dict[Stratum, list[tuple[tuple[int, int, float], Pick]]] = field(default_factory=dict)

    def add(self, pick: Pick) -> None:
        if frozenset(each.clip for each in pick) in self.asked.picks:
            return
        heap = self.heaps.setdefault(stratum_of(pick), [])
        heapq.heappush(heap, (self._rank(pick, self.chance.random()), pick))

    def take(self, stratum: Stratum) -> Pick:
        """The pick on the prompt, and of the clips, that were asked about least."""
        heap = self.heaps[stratum]
        while True:
            rank, pick = heap[0]
            now = self._rank(pick, rank[2])
            if now == rank:
                break
            heapq.heapreplace(heap, (now, pick))  # ranks only grow, so the smallest will be true
        heapq.heappop(heap)
        if not heap:
            del self.heaps[stratum]
        self.asked.note(pick)
        return pick

    def _rank(self, pick: Pick, lot: float) -> tuple[int, int, float]:
        clips = self.asked.clips
        uses = clips[pick[0].clip] + clips[pick[-1].clip]
        return self.asked.prompts[pick[0].prompt], uses, lot


Next = Callable[[], Stratum]


def _drawn(draw: _Draw, order: Next, budget: int) -> Iterator[Pick]:
    for _ in range(budget):
        if not draw.heaps:
            return
        yield draw.take(order())


def _by_balance(draw: _Draw, counts: Mapping[Stratum, int]) -> Next:
    """The generators that were compared least; a lot decides between equals."""
    heap = [(counts.get(each, 0), draw.chance.random(), each) for each in sorted(draw.heaps)]
    heapq.heapify(heap)

    def following() -> Stratum:
        while heap[0][2] not in draw.heaps:  # all of its pairs are drawn
            heapq.heappop(heap)
        count, _, stratum = heap[0]
        heapq.heapreplace(heap, (count + 1, draw.chance.random(), stratum))
        return stratum

    return following


def _by_gain(draw: _Draw, beliefs: Sequence[Belief], *, block: int) -> Next:
    """The generators of which one more vote is expected to tell most, looked at anew after each
    `block` of pairs."""
    left: list[Stratum] = []

    def following() -> Stratum:
        if not left or left[-1] not in draw.heaps:
            strata = sorted(draw.heaps)
            gains = np.sum([belief.gains(strata) for belief in beliefs], axis=0)
            # Among equals the lot decides, and not the alphabet.
            best = draw.chance.choice([strata[n] for n in np.flatnonzero(gains >= _near(gains))])
            for belief in beliefs:
                belief.learn(best, block)
            left[:] = [best] * block
        return left.pop()

    return following


def _near(gains: Floats) -> float:
    return float(gains.max()) * (1 - 1e-9)


# What a plan says before anything is written.


@dataclass(frozen=True, slots=True)
class Plan:
    pairs: int
    votes: int
    prompts: int
    clips: int
    by_generators: dict[str, int]
    pairs_per_prompt: tuple[int, int]  # least, most
    pairs_per_clip: tuple[int, int]


def plan_of(picks: Sequence[Pick], votes_wanted: int) -> Plan:
    strata = Counter(" / ".join(name or "unknown" for name in stratum_of(pick)) for pick in picks)
    prompts = Counter(pick[0].prompt for pick in picks)
    clips = Counter(each.clip for pick in picks for each in pick)
    return Plan(
        pairs=len(picks),
        votes=len(picks) * votes_wanted,
        prompts=len(prompts),
        clips=len(clips),
        by_generators=dict(sorted(strata.items())),
        pairs_per_prompt=_span(prompts.values()),
        pairs_per_clip=_span(clips.values()),
    )


def _span(counts: Iterable[int]) -> tuple[int, int]:
    found = list(counts)
    return (min(found), max(found)) if found else (0, 0)
