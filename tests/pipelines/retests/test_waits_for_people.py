"""A count that is started while its campaign is being opened still learns which one it is."""

import threading
from collections.abc import Iterable
from typing import Any

import pytest
from django.db import connection, transaction

from pipelines.models import Artifact, PeopleWait, Run, RunInput, RunState
from pipelines.retests import people_waits

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def campaign(transactional_db: None) -> Any:
    from annotation.campaigns import create_campaign, ensure_built_in_sets

    ensure_built_in_sets()
    return create_campaign("Side by side", "videoalign", kind="retest", made_by="run 1")


def started_while_the_other_ends(campaign: Any) -> PeopleWait:
    """One transaction writes the count; the other run ends before that one is committed."""
    opening = Run.objects.create(kind="retest", config={}, config_sha="", state=RunState.COMMITTING,
                                 lease_until="2030-01-01T00:00Z")  # fmt: skip
    asked, written = threading.Event(), threading.Event()

    def end() -> None:
        asked.wait(10)
        try:
            with transaction.atomic():
                Run.objects.filter(pk=opening.pk).update(state=RunState.SUCCEEDED, lease_until=None)
                artifact = Artifact.objects.create(
                    kind="retest", run=opening, path="1/retest.json", meta={"campaign": campaign.pk}
                )
                people_waits.tell(opening, None, [artifact])  # type: ignore[arg-type]
        finally:
            connection.close()
            written.set()

    other = threading.Thread(target=end)
    other.start()
    with transaction.atomic():
        count = Run.objects.create(kind="human_test", config={}, config_sha="")
        row = RunInput.objects.create(
            run=count, role="retest", producer=opening, producer_kind="retest"
        )
        people_waits.begin(count, [row])
        asked.set()
        written.wait(1)  # it cannot come to its end, or it has not seen the wait
    other.join(20)
    assert not other.is_alive()
    return PeopleWait.objects.get(run=count)


def test_the_end_of_the_run_that_opens_it_waits_for_the_row_that_wants_to_know(
    campaign: Any,
) -> None:
    assert started_while_the_other_ends(campaign).campaign == campaign


def test_who_does_not_lock_the_other_run_is_never_told(
    campaign: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor == "sqlite":  # one transaction at a time: the lock is the database's own
        assert started_while_the_other_ends(campaign).campaign == campaign
        return

    def unlocked(run: Run, inputs: Iterable[RunInput]) -> None:
        PeopleWait.objects.create(run=run)

    monkeypatch.setattr(people_waits, "begin", unlocked)
    assert started_while_the_other_ends(campaign).campaign is None
