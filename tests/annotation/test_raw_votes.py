"""Every vote goes out under pseudonyms, with what it was given under and signs of haste."""

import json
import re

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from annotation.quality.haste import StraightLines, signs_of
from annotation.raw_votes import json_lines, pseudonym, write_parquet

pytestmark = pytest.mark.django_db


def lines(campaign) -> list[dict]:
    head, *rows = [json.loads(line) for line in json_lines(campaign)]
    assert (head["schema"], head["dimensions"]) == ("votes/1", ["VQ", "MQ", "TA"])
    return rows


@pytest.mark.promise("D1")
def test_fifty_people_are_told_apart_and_named_by_nobody(make_campaign, people, annotator):
    """D1: pseudonyms are stable inside a campaign and say nothing across two."""
    users = people(50)
    one, other = make_campaign(1, votes_wanted=50), make_campaign(1, votes_wanted=50)
    for user in users:
        user.email = f"{user.username.replace(' ', '')}@example.org"
        user.save()
        for campaign in (one, other):
            browser = annotator(user)
            browser.vote(browser.next(campaign))
    found = [{row["annotator"] for row in lines(campaign)} for campaign in (one, other)]
    assert [len(each) for each in found] == [50, 50]
    assert not found[0] & found[1]
    text = b"".join(json_lines(one)).decode()
    assert not re.search(r"annotator \d|@example|127\.0\.0\.1", text)
    assert pseudonym(one, users[0].pk) in found[0]


SIGNED = [
    "ask {first} {last}", "it is me, {username}", "mail {email} please", "seen from 192.0.2.{n}",
    "from 2001:db8::{n}:7", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
]  # fmt: skip


@pytest.mark.promise("D1")
def test_what_people_typed_loses_who_they_are(make_campaign, people, annotator, figures):
    users = people(50)
    one, other = (make_campaign(1, votes_wanted=50) for _ in range(2))
    for n, user in enumerate(users):
        user.username, user.first_name, user.last_name = f"ü.ser-{n}x", f"Fritz{n}", f"Nachname{n}"
        user.email = f"fritz.{n}@post.example"
        user.save()
        said = SIGNED[n % len(SIGNED)].format(
            first=user.first_name,
            last=user.last_name,
            username=user.username,
            email=user.email,
            n=n,
        )
        for campaign in (one, other):
            browser = annotator(user)
            body = browser.ballot(browser.next(campaign))
            body |= {"remark": f"nice; {said}", "timing": {"active_ms": 9, "by": [said]}}
            assert browser.send(body).status_code == 200
    texts = [b"".join(json_lines(campaign)).decode() for campaign in (one, other)]
    personal = r"@|192\.0|2001:|Mozilla|ü\.ser|Fritz|Nachname"
    hits = [found for text in texts for found in re.findall(personal, text)]
    assert hits == []
    assert all(text.count("nice; ") == 50 for text in texts)
    names = [{row["annotator"] for row in lines(campaign)} for campaign in (one, other)]
    assert [len(each) for each in names] == [50, 50]
    assert not names[0] & names[1]
    figures("D1", people=50, hits=len(hits), joined=len(names[0] & names[1]), inside=50)


def test_a_vote_keeps_its_history_its_words_and_its_time(make_campaign, alice, annotator, side_of):
    campaign = make_campaign(1)
    browser = annotator(alice)
    given = browser.next(campaign)
    body = browser.ballot(given, [side_of(given, "A"), "tie", "invalid"])
    body["remark"] = "the second one jumps"
    body["timing"] = {"active_ms": 500, "coverage": {"left": 1, "right": 0.2}}
    vote = browser.send(body).json()
    browser.revise(vote["vote"], 1, browser.ballot(given, side_of(given, "B")))
    first, second = lines(campaign)
    assert (first["state"], second["state"]) == ("superseded", "counted")
    assert second["supersedes"] == first["vote"]
    assert first["judgements"]["VQ"]["label"] == "A"
    assert first["judgements"]["TA"] == {
        "label": "invalid", "reason": "broken", "score_a": None, "score_b": None,
    }  # fmt: skip
    assert second["judgements"]["MQ"]["label"] == "B"
    assert first["remark"] == "the second one jumps"
    assert first["signs"] == ["rushed", "unwatched"]  # 0.5 s for a clip of 1.125 s
    assert first["generator_a"] == "generator-secret-7B"


def test_parquet_says_the_same(make_campaign, alice, annotator, tmp_path):
    campaign = make_campaign(3)
    browser = annotator(alice)
    for _ in range(3):
        browser.vote(browser.next(campaign), "tie")
    assert write_parquet(campaign, tmp_path / "votes.parquet") == 3
    table = pq.read_table(tmp_path / "votes.parquet")
    assert table.schema.metadata[b"schema"] == b"votes/1"
    rows = lines(campaign)
    assert table.column("vote").to_pylist() == [row["vote"] for row in rows]
    assert table.column("label_VQ").to_pylist() == ["tie"] * 3
    assert [json.loads(each) for each in table.column("timing").to_pylist()] == [
        row["timing"] for row in rows
    ]


@pytest.mark.promise("M6")
def test_json_lines_and_parquet_keep_a_text_like_a_formula(
    make_campaign, alice, annotator, tmp_path
):
    campaign = make_campaign(1)
    browser = annotator(alice)
    body = browser.ballot(browser.next(campaign))
    browser.send({**body, "remark": "=SUM(A1:A9)"})
    assert [row["remark"] for row in lines(campaign)] == ["=SUM(A1:A9)"]
    write_parquet(campaign, tmp_path / "votes.parquet")
    table = pq.read_table(tmp_path / "votes.parquet")
    assert table.column("remark").to_pylist() == ["=SUM(A1:A9)"]


def test_the_command_writes_what_its_name_says_and_never_over_a_file(
    make_campaign, alice, annotator, tmp_path, capsys
):
    campaign = make_campaign(1)
    browser = annotator(alice)
    browser.vote(browser.next(campaign))
    for suffix in ("jsonl", "parquet"):
        call_command("export_votes", campaign.name, str(tmp_path / f"v.{suffix}"))
        assert "1 votes" in capsys.readouterr().out
    for name, words in (("v.jsonl", "never overwritten"), ("v.txt", "ends in .jsonl or .parquet")):
        with pytest.raises(CommandError, match=words):
            call_command("export_votes", campaign.name, str(tmp_path / name))
    with pytest.raises(CommandError, match="there is no campaign 'x'"):
        call_command("export_votes", "x", str(tmp_path / "x.jsonl"))


def test_no_time_and_no_watching_are_no_signs():
    assert signs_of({}, None, 5000, 2) == []
    assert signs_of({"coverage": {"left": 0.6, "right": 0.1}}, 3000, 5000, 1) == []
    assert signs_of({"coverage": {"left": 0.6, "right": 0.1}}, 2999, 5000, 2) == [
        "rushed",
        "unwatched",
    ]


def test_fifteen_equal_answers_in_a_row_are_a_straight_line():
    found = StraightLines()
    said = [found.goes_on(1, ["left", "left", "left"]) for _ in range(16)]
    assert said == [False] * 14 + [True] * 2
    assert not found.goes_on(2, ["left", "left", "left"])  # somebody else
    assert not found.goes_on(1, ["left", "tie", "left"])
    assert not found.goes_on(1, ["left", "left", "left"])  # begins anew
    assert not any(StraightLines().goes_on(1, ["left"]) for _ in range(20))
