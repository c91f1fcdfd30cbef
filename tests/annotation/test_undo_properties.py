"""Whatever is voted, sent again, changed, changed from an old tab or taken back: history holds.

Hypothesis draws what people do; a model of a few lines says what must be true afterwards.
"""

import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from annotation.assigning import claim
from annotation.ballots import Answer, Ballot
from annotation.consensus import consensus_of
from annotation.errors import VoteConflict
from annotation.models import Campaign, Consensus, Judgement, Lease, Vote
from annotation.offers import Assignment, Receipt
from annotation.permissions import ensure_groups
from annotation.promises import broken_promises
from annotation.voting import cast_vote, revise_vote, withdraw_votes
from formats.labels import Label
from tests.annotation.conftest import bare_campaign

WORDS = ("left", "right", "tie", "invalid")
KEYS = ("VQ", "MQ", "TA")
opinions = st.tuples(*[st.sampled_from(WORDS)] * len(KEYS))
deeds = st.one_of(
    st.tuples(st.just("vote"), st.integers(0, 2), opinions),
    st.tuples(st.just("again"), st.integers(0, 2), st.none()),
    st.tuples(st.just("change"), st.integers(0, 2), opinions),
    st.tuples(st.just("change from an old tab"), st.integers(0, 2), opinions),
    st.tuples(st.just("take back"), st.integers(0, 2), st.none()),
)


@dataclass
class Person:
    """What one annotator did on the one pair, as the model sees it."""

    user: User
    given: Assignment | None = None
    history: list[tuple[str, ...]] = field(default_factory=list)  # in screen words, oldest first
    first: Receipt | None = None
    last: Receipt | None = None
    withdrawn: bool = False

    def ballot(self, words: tuple[str, ...]) -> Ballot:
        assert self.given is not None
        assert self.given.right is not None
        answers = {
            key: Answer(word, reason="broken" if word == "invalid" else "")
            for key, word in zip(KEYS, words, strict=True)
        }
        return Ballot(str(self.given.left.pk), str(self.given.right.pk), answers)

    def canonical(self) -> tuple[str, ...]:
        """The newest opinion with the swap undone."""
        assert self.given is not None
        swap = Lease.objects.get(pk=self.given.token).swap
        side = {"left": "B" if swap else "A", "right": "A" if swap else "B"}
        return tuple(side.get(word, word) for word in self.history[-1])


class World:
    """One pair that three people are asked about."""

    def __init__(self) -> None:
        ensure_groups()
        self.campaign: Campaign = bare_campaign(1, votes_wanted=3)
        self.people = [Person(self._annotator()) for _ in range(3)]

    def _annotator(self) -> User:
        from django.contrib.auth.models import Group

        user = User.objects.create(username=uuid.uuid4().hex)
        user.groups.add(Group.objects.get(name="annotator"))
        return user

    def do(self, deed: str, who: int, words: Any) -> None:
        person = self.people[who]
        if deed == "vote" and person.given is None:
            self._vote(person, words)
        elif person.first is None or person.withdrawn:
            return
        elif deed == "again":
            self._again(person)
        elif deed.startswith("change"):
            self._change(person, words, old=deed != "change")
        elif deed == "take back":
            person.withdrawn = withdraw_votes(self._standing(person), "for the test") == 1
            assert person.withdrawn

    def _vote(self, person: Person, words: tuple[str, ...]) -> None:
        given = claim(self.campaign, person.user, uuid.uuid4())
        assert isinstance(given, Assignment)
        person.given = given
        person.first = person.last = cast_vote(given.token, person.user, person.ballot(words))
        person.history.append(words)
        assert (person.first.revision, person.first.replay) == (1, False)

    def _again(self, person: Person) -> None:
        assert person.given is not None
        assert person.last is not None
        same = cast_vote(person.given.token, person.user, person.ballot(person.history[0]))
        assert (same.vote, same.replay) == (person.last.vote, True)

    def _change(self, person: Person, words: tuple[str, ...], *, old: bool) -> None:
        assert person.first is not None
        assert person.last is not None
        seen = person.first if old else person.last
        stale = seen.vote != person.last.vote
        try:
            now = revise_vote(seen.vote, person.user, seen.revision, person.ballot(words))
        except VoteConflict:
            assert stale
            return
        if stale:
            # Only the very change that was made from there is answered again.
            assert now.replay
            assert words == person.history[1]
            return
        assert now.revision == person.last.revision + 1
        person.history.append(words)
        person.last = now

    def _standing(self, person: Person) -> list[Vote]:
        return list(Vote.objects.live().filter(annotator=person.user))

    def check(self) -> None:
        assert broken_promises(self.campaign) == []
        voted = [person for person in self.people if person.first is not None]
        assert Vote.objects.count() == sum(len(person.history) for person in voted)
        for person in voted:
            revisions = Vote.objects.filter(annotator=person.user).order_by("revision")
            assert [each.revision for each in revisions] == [*range(1, len(person.history) + 1)]
            rows = Judgement.objects.filter(vote=revisions.last()).order_by("dimension__position")
            assert tuple(str(row.label) for row in rows) == person.canonical()
        self._check_consensus([person for person in voted if not person.withdrawn])

    def _check_consensus(self, standing: list[Person]) -> None:
        settled = Consensus.objects.order_by("dimension__position")
        if len(standing) < len(self.people):
            assert not settled.exists()
            return
        by_dimension = zip(*(person.canonical() for person in standing), strict=True)
        wanted = [consensus_of([Label(label) for label in labels]) for labels in by_dimension]
        assert [each.label for each in settled] == wanted


class Undoing(TestCase):
    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.lists(deeds, min_size=4, max_size=14))
    def test_history_and_consensus_follow_every_deed(self, done):
        world = World()
        for deed in done:
            world.do(*deed)
        world.check()

    def test_the_deeds_of_the_property_above_all_occur(self):
        """A run in which all of them have an effect, so that the property is about something."""
        world = World()
        for who, words in enumerate([("left", "tie", "right")] * 3):
            world.do("vote", who, words)
        for deed in ("change", "again", "change from an old tab", "take back"):
            world.do(deed, 0, ("tie", "tie", "tie"))
        assert Counter(Vote.objects.values_list("state", flat=True)) == {
            "counted": 2,
            "superseded": 1,
            "withdrawn": 1,
        }
        world.check()
