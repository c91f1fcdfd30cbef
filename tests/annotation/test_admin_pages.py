"""The admin: leads run campaigns, records stay records, and each list has few queries."""

from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from annotation.campaigns import pause_campaign
from annotation.forms import CampaignForm
from annotation.importing import create_triplets
from annotation.models import Campaign, DimensionSet, Triplet, Vote
from annotation.promises import broken_promises

LISTS = (
    *("campaign", "dimensionset", "vote", "consensus", "triplet", "video", "slot", "skip"),
    *("prompt", "outbox", "generator"),
)


@pytest.fixture
def voted(make_campaign, people, annotator):
    campaign = make_campaign(3, votes_wanted=1)
    browser = annotator(people(1)[0])
    for _ in range(3):
        browser.vote(browser.next(campaign))
    return campaign


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_its_rows_with_few_queries(
    voted, client, lee, name, django_assert_max_num_queries
):
    client.force_login(lee)
    with django_assert_max_num_queries(12):
        answer = client.get(f"/admin/annotation/{name}/")
    assert answer.status_code == 200
    assert "style=" not in answer.content.decode()


def test_a_lead_opens_pauses_and_closes(voted, client, lee):
    client.force_login(lee)
    for action, state in (("pause", "paused"), ("close", "closed"), ("open", "open")):
        client.post(
            "/admin/annotation/campaign/", {"action": action, "_selected_action": [voted.pk]}
        )
        voted.refresh_from_db()
        assert voted.state == state


def test_a_lead_extends_clones_and_ties_together(voted, client, lee):
    client.force_login(lee)
    for action in ("one_more_vote", "clone", "tie_together"):
        client.post(
            "/admin/annotation/campaign/", {"action": action, "_selected_action": [voted.pk]}
        )
    voted.refresh_from_db()
    assert (voted.votes_wanted, voted.triplets_done) == (2, 0)
    copy = Campaign.objects.get(name=f"{voted.name} (2)")
    assert (copy.state, copy.triplets_total, copy.created_by) == ("draft", 3, lee)


def test_a_campaign_without_triplets_stays_shut_with_a_reason(make_campaign, client, lee):
    campaign = make_campaign(0)
    Campaign.objects.filter(pk=campaign.pk).update(state="draft")
    client.force_login(lee)
    data = {"action": "open", "_selected_action": [campaign.pk]}
    answer = client.post("/admin/annotation/campaign/", data, follow=True)
    assert "no triplets yet" in answer.content.decode()
    campaign.refresh_from_db()
    assert campaign.state == "draft"


def test_a_vote_can_be_read_but_not_touched(voted, client, olga):
    client.force_login(olga)
    vote = Vote.objects.first()
    path = f"/admin/annotation/vote/{vote.pk}"
    page = client.get(f"{path}/change/")
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    assert client.post(f"{path}/change/", {"state": "withdrawn"}).status_code == 403
    assert client.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/annotation/vote/add/").status_code == 403
    assert Vote.objects.filter(state="counted").count() == 3


def test_what_was_asked_cannot_be_changed_afterwards(voted, client, lee):
    client.force_login(lee)
    page = client.get(f"/admin/annotation/campaign/{voted.pk}/change/").content.decode()
    assert 'name="votes_wanted"' not in page
    used = DimensionSet.objects.get(name="videoalign")
    page = client.get(f"/admin/annotation/dimensionset/{used.pk}/change/").content.decode()
    assert 'name="dimensions-0-key"' not in page


def test_a_lead_makes_a_campaign(client, lee):
    client.force_login(lee)
    anime = DimensionSet.objects.get(name="anime")
    form = client.get("/admin/annotation/campaign/add/").context["adminform"].form
    filled = {name: field.initial for name, field in form.fields.items()}
    filled = {name: value for name, value in filled.items() if value is not None}
    data = {**filled, "name": "by hand", "dimension_set": anime.pk, "votes_wanted": 2}
    assert client.post("/admin/annotation/campaign/add/", data).status_code == 302
    made = Campaign.objects.get(name="by hand")
    assert (made.created_by, made.state, made.votes_wanted) == (lee, "draft", 2)


def _filled(client, path: str) -> dict[str, object]:
    """What a browser would send back of the form as it is shown."""
    form = client.get(path).context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }


def _meanwhile(monkeypatch, act) -> None:
    """Once, after the page has read the campaign and before it saves it."""
    plain, waiting = CampaignForm.clean, [act]

    def clean(self):
        while waiting:
            waiting.pop()()
        return plain(self)

    monkeypatch.setattr(CampaignForm, "clean", clean)


def test_what_happens_while_a_lead_saves_a_campaign_stays(
    make_campaign, client, lee, people, annotator, monkeypatch
):
    campaign, donor = make_campaign(2, votes_wanted=1), make_campaign(1)
    Campaign.objects.update(gold_share=0, repeat_share=0)
    first, second = map(annotator, people(2))
    pairs = [(each.prompt, each.video_a, each.video_b) for each in donor.triplets.all()]

    def meanwhile() -> None:
        assert first.vote(first.next(campaign)).status_code == 200
        create_triplets(Campaign.objects.get(pk=campaign.pk), pairs)
        Campaign.objects.filter(pk=campaign.pk).update(must_accept=3)
        pause_campaign(Campaign.objects.get(pk=campaign.pk))

    client.force_login(lee)
    page = f"/admin/annotation/campaign/{campaign.pk}/change/"
    data = {**_filled(client, page), "instructions": "new words", "members": [lee.pk]}
    _meanwhile(monkeypatch, meanwhile)
    assert client.post(page, data).status_code == 302
    row = Campaign.objects.get(pk=campaign.pk)
    assert (row.instructions, list(row.members.all())) == ("new words", [lee])
    assert (row.triplets_done, row.triplets_total, row.must_accept) == (1, 3, 3)
    assert row.state == "paused"
    assert broken_promises(row) == []
    Campaign.objects.filter(pk=campaign.pk).update(must_accept=0, state="open")
    for _ in range(2):
        assert second.vote(second.next(campaign)).status_code == 200


def test_what_is_asked_stays_also_where_pairs_come_while_the_form_is_saved(
    make_campaign, client, lee, monkeypatch
):
    campaign, donor = make_campaign(0), make_campaign(1)
    pairs = [(each.prompt, each.video_a, each.video_b) for each in donor.triplets.all()]
    client.force_login(lee)
    page = f"/admin/annotation/campaign/{campaign.pk}/change/"
    data = {**_filled(client, page), "votes_wanted": 7}
    _meanwhile(monkeypatch, lambda: create_triplets(Campaign.objects.get(pk=campaign.pk), pairs))
    answer = client.post(page, data)
    assert answer.status_code == 200
    assert "is part of what people were asked" in answer.content.decode()
    assert Campaign.objects.get(pk=campaign.pk).votes_wanted == 3


@pytest.fixture
def incoming(settings, clips) -> Path:
    folder = Path(settings.MEDIA_ROOT) / "incoming" / "batch"
    folder.mkdir(parents=True)
    for name, clip in zip("ab", clips, strict=False):
        (folder / f"{name}.mp4").write_bytes(clip.read_bytes())
    return folder


def _upload(client, text: str, clips: str = "batch"):
    file = SimpleUploadedFile("labels.csv", text.encode())
    data = {"campaign": "uploaded", "file": file, "clips": clips}
    return client.post("/admin/annotation/campaign/import/", data, follow=True)


HEADER = "path_A,path_B,prompt,VQ,MQ,TA\n"


def test_a_lead_imports_a_file(incoming, client, lee):
    client.force_login(lee)
    row = "a.mp4,b.mp4,a red square,A,same,B\n"
    answer = _upload(client, HEADER + row + row)
    page = answer.content.decode()
    assert "1 triplets from 2 rows" in page
    assert "line 3 repeats line 2" in page
    assert Triplet.objects.get().campaign.name == "uploaded"


@pytest.mark.parametrize(
    ("text", "folder", "words"),
    [
        (HEADER + "a.mp4,b.mp4,red,A,maybe,B\n", "batch", "labels.csv:2: column MQ: unknown label"),
        (HEADER + "a.mp4,b.mp4,red,A,A,B\n", "../..", "must lie below"),
        (HEADER + "a.mp4,b.mp4,red,A,A,B\n", "nowhere", "There is no folder"),
    ],
)
def test_a_bad_upload_says_why_and_writes_nothing(incoming, client, lee, text, folder, words):
    client.force_login(lee)
    answer = _upload(client, text, folder)
    assert words in answer.content.decode()
    assert "/tmp" not in answer.content.decode()
    assert not Campaign.objects.filter(name="uploaded").exists()


def test_an_ml_engineer_reads_but_does_not_import(incoming, client, mia):
    client.force_login(mia)
    assert client.get("/admin/annotation/campaign/").status_code == 200
    _upload(client, HEADER + "a.mp4,b.mp4,red,A,A,B\n")
    assert not Campaign.objects.filter(name="uploaded").exists()
