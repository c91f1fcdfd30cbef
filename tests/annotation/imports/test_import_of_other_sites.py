"""What other tools and other sites wrote comes in: Parquet, datasets, TRL, Label Studio, votes."""

import copy
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from annotation.campaigns import create_campaign, ensure_built_in_sets
from annotation.errors import ImportRefused
from annotation.imports.reading_in import Target, import_rows
from annotation.imports.sources import opened
from annotation.models import (
    Campaign,
    Consensus,
    ForeignAnnotator,
    ForeignVote,
    Generator,
    Prompt,
    Slot,
    Triplet,
    Video,
    Vote,
)
from annotation.raw_votes import json_lines, write_parquet

pytestmark = pytest.mark.django_db
Row = dict[str, Any]
SHA = [f"{n:064x}" for n in range(1, 5)]
KEYS = ("VQ", "MQ", "TA")


@pytest.fixture
def here(db: None) -> None:
    """Four clips that are here; no file of theirs is needed."""
    ensure_built_in_sets()
    prompt = Prompt.objects.for_text("elsewhere")
    for sha256 in SHA:
        Video.objects.create(
            prompt=prompt, file=f"videos/{sha256[:2]}/{sha256}.mp4", sha256=sha256, fps=8,
            num_frames=9, width=8, height=8, duration=9 / 8, phash="0" * 16,
        )  # fmt: skip


def bring(given: Path, campaign: str = "new", **options: Any) -> Any:
    with opened(given) as source:
        return import_rows(source, Target(campaign, **options))


def write(path: Path, rows: Any) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def clips(a: int = 0, b: int = 1, **more: Any) -> Row:
    sides = {f"sha256_{side}": SHA[n] for side, n in zip("ab", (a, b), strict=True)}
    paths = {f"path_{side}": f"videos/{n}.mp4" for side, n in zip("ab", (a, b), strict=True)}
    return {"pair_id": f"p{a}{b}", "prompt": "a red square", **paths, **sides, **more}


def preference(a: int = 0, b: int = 1, **more: Any) -> Row:
    labels = {"label_VQ": "A", "label_MQ": "tie", "label_TA": None}
    soft = {f"posterior_{key}": [0.5, 0.25, 0.25] for key in KEYS}
    scores = {f"score_{side}_{key}": 4.25 for side in "ab" for key in KEYS}
    return {**clips(a, b), **labels, **soft, **scores, "votes": 3, **more}


def trl(key: str = "VQ", side: str = "A", **more: Any) -> Row:
    a, b = ("chosen", "rejected") if side == "A" else ("rejected", "chosen")
    named = {a: "videos/0.mp4", b: "videos/1.mp4", f"{a}_sha256": SHA[0], f"{b}_sha256": SHA[1]}
    return {"prompt": "a red square", "dimension": key, "chosen_side": side, **named, **more}


def result(key: str, value: Any, kind: str = "choices") -> Row:
    inside = {"choices": [value]} if kind == "choices" else {kind: value}
    return {"from_name": key, "to_name": "video_a", "type": kind, "value": inside}


def task(*annotations: Row, **data: Any) -> Row:
    named = clips()
    given = {f"video_{side}": named.pop(f"path_{side}") for side in "ab"}
    return {"id": 1, "data": {**named, **given, **data}, "annotations": list(annotations)}


def annotation(who: Any = None, *labels: str) -> Row:
    words = labels or ("A", "tie", "B")
    results = [result(key, word) for key, word in zip(KEYS, words, strict=True)]
    return {"completed_by": who, "result": results}


HEAD = {"schema": "votes/1", "campaign": "c", "dimensions": list(KEYS)}


def vote(who: str = "annotator-1", *labels: str, **more: Any) -> Row:
    said = {
        key: {"label": word, "reason": "broken" if word == "invalid" else "", "score_a": None,
              "score_b": None}
        for key, word in zip(KEYS, labels or ("A", "tie", "B"), strict=True)
    }  # fmt: skip
    return {**clips(), "annotator": who, "state": "counted", "judgements": said, **more}


def settled(campaign: str = "new") -> dict[str, str | None]:
    rows = Consensus.objects.filter(triplet__campaign__name=campaign)
    return dict(rows.values_list("dimension__key", "label"))


# What comes in.


def test_parquet_brings_soft_labels_and_how_many_voted(here: None, tmp_path: Path) -> None:
    report = bring(write(tmp_path / "t.parquet", [preference(), preference(2, 3)]))
    assert (report.triplets, report.warnings) == (2, ())
    assert settled() == {"VQ": "A", "MQ": "tie", "TA": None}
    row = Consensus.objects.filter(dimension__key="TA").first()
    assert row is not None
    assert (row.posterior, row.score_a, row.source) == ([0.5, 0.25, 0.25], 4.25, "import")
    assert Triplet.objects.first().source_row == {"pair_id": "p01", "votes": 3}
    assert bring(tmp_path / "t.parquet").triplets == 0


def test_the_same_columns_as_json_lines_say_the_same(here: None, tmp_path: Path) -> None:
    bring(write(tmp_path / "t.jsonl", [preference()]))
    assert settled() == {"VQ": "A", "MQ": "tie", "TA": None}


def test_a_column_that_nobody_reads_is_named(here: None, tmp_path: Path) -> None:
    report = bring(write(tmp_path / "t.parquet", [preference(mood="good", split="test")]))
    assert [each.split(": ", 1)[1] for each in report.warnings] == [
        "the column 'mood' is not read and not kept"
    ]


CARD = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {}\n---\n"


@pytest.mark.parametrize(
    "paths", ["data/train-*", "[data/train-0.parquet, data/train-1.parquet]", None]
)
def test_a_dataset_folder_is_one_table(here: None, tmp_path: Path, paths: str | None) -> None:
    folder = tmp_path / "set"
    (folder / "data").mkdir(parents=True)
    write(folder / "data" / "train-0.parquet", [preference()])
    write(folder / "data" / "train-1.parquet", [preference(2, 3), preference(1, 0, label_VQ="B")])
    (folder / "README.md").write_text(CARD.format(paths) if paths else "# a set\n")
    report = bring(folder)
    assert (report.rows, report.triplets) == (3, 2)
    shown = f"{folder}/data/train"
    assert [str(each) for each in report.duplicates] == [
        f"{shown}-1.parquet:2 repeats {shown}-0.parquet:1 with A and B swapped"
    ]
    write(folder / "data" / "train-1.parquet", [preference(2, 3), preference(1, 0)])
    with pytest.raises(ImportRefused, match=r"train-1.parquet:2: the pair of .*train-0.parquet:1"):
        bring(folder, "other")


def test_a_card_may_name_tables_anywhere_in_the_folder(here: None, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "train").mkdir(parents=True)
    write(folder / "train" / "a.parquet", [preference()])
    write(folder / "b.parquet", [preference(2, 3)])
    (folder / "README.md").write_text(CARD.format("[train/*.parquet, b.parquet]"))
    assert bring(folder).triplets == 2


def test_trl_and_what_it_left_out_are_one(here: None, tmp_path: Path) -> None:
    rows = [trl("VQ"), trl("MQ", "B")]
    report = bring(write(tmp_path / "t.jsonl", rows), "alone")
    assert [each.split(": ", 1)[1][:49] for each in report.warnings] == [
        "1 labels are not in it and taken for undecided; t"
    ]
    assert settled("alone") == {"VQ": "A", "MQ": "B", "TA": None}
    tie = {**clips(), "pair_id": None, "dimension": "TA", "label": "tie"}
    write(tmp_path / "t.jsonl.left-out.jsonl", [tie])
    assert bring(tmp_path / "t.jsonl", "both").warnings == ()
    assert settled("both") == {"VQ": "A", "MQ": "B", "TA": "tie"}


def test_trl_without_sides_and_as_conversations(here: None, tmp_path: Path) -> None:
    """Other people's preference rows: the clip that is chosen first is A."""
    rows = [trl("VQ"), trl("MQ", "B"), trl("TA", "B")]
    for row in rows:
        del row["chosen_side"]
        row["prompt"] = [{"role": "user", "content": row["prompt"]}]
    bring(write(tmp_path / "t.jsonl", rows))
    assert settled() == {"VQ": "A", "MQ": "B", "TA": "B"}
    assert Triplet.objects.get().prompt.text == "a red square"


def test_people_of_label_studio_are_strangers_with_votes(here: None, tmp_path: Path) -> None:
    three = [annotation(7), annotation({"id": 8}), annotation({"email": "eve@example.org"}, *"BBB")]
    skipped = {"completed_by": 9, "was_cancelled": True, "result": []}
    bring(write(tmp_path / "t.json", [task(*three, skipped)]))
    assert settled() == {"VQ": "A", "MQ": "tie", "TA": "B"}
    names = list(ForeignAnnotator.objects.values_list("name", flat=True))
    assert {"label-studio-7", "label-studio-8"} < set(names)
    assert len(names) == 3
    assert "eve" not in str(list(ForeignVote.objects.values()) + names)
    row = Consensus.objects.get(dimension__key="VQ")
    assert row.posterior == pytest.approx([2 / 3, 0, 1 / 3])


def test_one_annotation_of_nobody_is_a_label(here: None, tmp_path: Path) -> None:
    more = {
        **annotation(),
        "result": [*annotation()["result"], result("score_a_VQ", 2.5, "number")],
    }
    bring(write(tmp_path / "t.json", [task(more, posterior={"VQ": [1, 0, 0]}, votes=5)]))
    assert ForeignVote.objects.count() == 0
    row = Consensus.objects.get(dimension__key="VQ")
    assert (row.label, row.score_a, row.posterior) == ("A", 2.5, [1, 0, 0])
    assert Triplet.objects.get().source_row["votes"] == 5


def test_clips_of_label_studio_may_lie_on_its_disk(here: None, tmp_path: Path) -> None:
    given = task(annotation(), video_a="/data/local-files/?d=videos/0.mp4")
    assert bring(write(tmp_path / "t.json", [given])).triplets == 1


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_votes_of_a_campaign_come_in_as_votes_of_strangers(
    make_campaign: Any, people: Any, annotator: Any, tmp_path: Path, name: str
) -> None:
    """The labels are the same, the clips are known by their ids; no account here is theirs."""
    campaign = make_campaign(2, votes_wanted=3)
    users = people(3)
    for user, words in zip(users, (["left"] * 3, ["tie"] * 3, ["invalid"] * 3), strict=True):
        browser = annotator(user)
        for _ in range(2):
            browser.vote(browser.next(campaign), words)
    if name == "t.jsonl":
        (tmp_path / name).write_bytes(b"".join(json_lines(campaign)))
    else:
        write_parquet(campaign, tmp_path / name)
    before = Vote.objects.count()
    report = bring(tmp_path / name)
    assert report.triplets == 2
    assert settled() == settled(campaign.name)
    assert Vote.objects.count() == before
    assert ForeignVote.objects.count() == 6
    assert ForeignAnnotator.objects.count() == 3
    usernames = set(User.objects.values_list("username", flat=True))
    assert not usernames & set(ForeignAnnotator.objects.values_list("name", flat=True))
    pairs = [
        set(each.triplets.values_list("video_a", "video_b")) for each in Campaign.objects.all()
    ]
    assert pairs[0] == pairs[1]  # the same rows of clips, with their generator and seeds
    assert bring(tmp_path / name).triplets == 0
    assert ForeignVote.objects.count() == 6


def test_equal_pseudonyms_of_two_files_are_two_people(here: None, tmp_path: Path) -> None:
    bring(write(tmp_path / "t.jsonl", [HEAD, vote("annotator-1")]))
    other = {**vote("annotator-1"), **clips(2, 3)}
    bring(write(tmp_path / "u.jsonl", [HEAD, other]))
    assert list(ForeignAnnotator.objects.values_list("name", flat=True)) == ["annotator-1"] * 2


def test_votes_that_do_not_stand_settle_nothing(here: None, tmp_path: Path) -> None:
    rows = [
        vote("a", "A", "A", "A"), vote("b", "A", "B", "A"),
        vote("c", "B", "B", "B", state="surplus"), vote("d", "B", "B", "B", state="superseded"),
    ]  # fmt: skip
    bring(write(tmp_path / "t.jsonl", [HEAD, *rows]))
    assert settled() == {"VQ": "A", "MQ": None, "TA": "A"}
    assert sorted(ForeignVote.objects.values_list("annotator__name", "counted")) == [
        ("a", True), ("b", True), ("c", False)
    ]  # fmt: skip


def test_clips_are_found_by_content_in_what_came_with_the_votes(
    clips: list[Path], tmp_path: Path
) -> None:
    from formats.files import sha256_of

    named = vote(sha256_a=sha256_of(clips[0]), sha256_b=sha256_of(clips[1]))
    del named["path_a"], named["path_b"]
    packed = tmp_path / "in.zip"
    write(tmp_path / "t.jsonl", [HEAD, named])
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(tmp_path / "t.jsonl", "t.jsonl")
        for number, clip in enumerate(clips[:2]):
            archive.write(clip, f"media/any name {number}.mp4")
    assert bring(packed).triplets == 1
    assert {each.sha256 for each in Video.objects.all()} == {named["sha256_a"], named["sha256_b"]}


def test_the_command_reads_every_dialect(here: None, tmp_path: Path, capsys: Any) -> None:
    table = write(tmp_path / "t.json", [task(annotation(7))])
    call_command("import_triplets", str(table), campaign="by command")
    assert "by command: 1 triplets from 1 rows" in capsys.readouterr().out


def test_rest_takes_a_dataset_as_an_archive_and_names_file_and_row(
    here: None, lee: Any, client: Any, tmp_path: Path
) -> None:
    create_campaign("by REST", "videoalign")
    address = f"/api/campaigns/{Campaign.objects.get().pk}/import"
    client.force_login(lee)

    def send(*shards: list[Row]) -> Any:
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for number, rows in enumerate(shards):
                name = f"data/train-{number}.parquet"
                archive.write(write(tmp_path / "shard.parquet", rows), name)
        with (tmp_path / "set.zip").open("rb") as file:
            return client.post(address, {"file": file})

    answer = send([preference()], [preference(2, 3), preference(label_TA="C")])
    assert answer.status_code == 422
    assert answer.json()["path"] == "set.zip/data/train-1.parquet"
    (fault,) = answer.json()["faults"]
    assert (fault["file"], fault["line"]) == ("set.zip/data/train-1.parquet", 2)
    answer = send([preference()], [preference(2, 3)])
    assert (answer.status_code, answer.json()["triplets"]) == (200, 2)


def test_the_page_takes_a_list_of_tasks(here: None, lee: Any, client: Any, tmp_path: Path) -> None:
    client.force_login(lee)
    with write(tmp_path / "tasks.json", [task(annotation(7))]).open("rb") as file:
        page = client.post(
            "/admin/annotation/campaign/import/", {"campaign": "by page", "file": file}, follow=True
        )
    assert ": 1 triplets from 1 rows" in page.content.decode()
    with write(tmp_path / "tasks.json", [task()]).open("rb") as file:
        page = client.post("/admin/annotation/campaign/import/", {"campaign": "x", "file": file})
    assert "tasks.json:1: the task has no annotation" in page.content.decode()


# What is refused: by file and line, and nothing is written.


def without(row: Row, *names: str) -> Row:
    return {name: value for name, value in row.items() if name not in names}


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


OTHER = [preference(), preference(2, 3)]
TASKS = [task(annotation())]
HOSTILE: dict[str, tuple[str, Any, str]] = {
    # Our Parquet, and the same columns in JSON lines.
    "cut off": ("t.parquet", lambda raw: raw[: len(raw) // 2], r"t.parquet: not a Parquet file"),
    "flipped bytes": ("t.parquet", lambda raw: raw[:4] + bytes(200) + raw[204:], r"t.parquet"),
    "label of no language": ("t.parquet", [*OTHER, preference(0, 2, label_VQ="better")],
                             r"t.parquet:3: the label of VQ is 'better'; expected one of A, B"),
    "labels of another set": ("t.jsonl", [preference(label_XX="A")], r":1: .*judges 'XX', but"),
    "a dimension is not judged": ("t.jsonl", [without(preference(), "label_TA")],
                                  r":1: the file does not judge 'TA', but the campaign"),
    "chances above one": ("t.jsonl", [preference(posterior_VQ=[0.9, 0.9, 0.9])],
                          r":1: the posterior of VQ is .*expected three chances"),
    "two chances": ("t.jsonl", [preference(posterior_VQ=[0.5, 0.5])], r":1: the posterior of VQ"),
    "a chance of text": ("t.jsonl", [preference(posterior_VQ=["a", "b", "c"])], r":1: the post"),
    "negative chance": ("t.jsonl", [preference(posterior_VQ=[-1, 1, 1])], r":1: the posterior of"),
    "half a vote": ("t.jsonl", [preference(votes=2.5)], r":1: votes is '2.5'; expected a whole"),
    "votes below none": ("t.jsonl", [preference(votes=-3)], r":1: votes is '-3'"),
    "clips of nobody": ("t.jsonl", [preference(sha256_b="f" * 64)],
                        r":1: the clip videos/1.mp4 is missing, and no clip here has its content"),
    "no sha256": ("t.jsonl", [preference(sha256_a="12")], r":1: sha256_A is '12'; expected a sha"),
    "one clip alone": ("t.jsonl", [without(preference(), "path_b", "sha256_b")],
                       r":1: the row has one clip alone, but the campaign asks about pairs"),
    "out of the folder": ("t.jsonl", [preference(path_a="../../etc/passwd")], r":1: path_A is '"),
    "a clip with itself": ("t.jsonl", [preference(0, 0)], r":1: path_A and path_B are the same"),
    "seed of 80 bits": ("t.jsonl", [preference(seed_a=2**79)], r":1: seed_A is"),
    "other labels below": ("t.jsonl", [preference(), preference(label_VQ="B")],
                           r":2: the pair of line 1 comes again with other labels"),
    "judgements of text": ("t.jsonl", [preference(judgements="[{")], r":1: judgements must be a"),
    "judgement on nothing": ("t.jsonl", [preference(judgements=[{"annotator": "a", "dimension": "X",
                             "label": "A"}])], r":1: a judgement is on 'X'"),
    "judged twice": ("t.jsonl", [preference(judgements=[{"annotator": "a", "dimension": "VQ",
                     "label": "A"}] * 2)], r":1: a judges VQ twice"),
    "person without a name": ("t.jsonl", [preference(judgements=[{"annotator": " ",
                              "dimension": "VQ", "label": "A"}])], r":1: annotator is ' '"),
    "person of two lines": ("t.jsonl", [preference(judgements=[{"annotator": "a\nb",
                            "dimension": "VQ", "label": "A"}])], r":1: annotator is"),
    "empty prompt": ("t.jsonl", [preference(prompt="  ")], r":1: the prompt is empty"),
    "NUL in a prompt": ("t.jsonl", [preference(prompt="a\0b")], r":1: prompt has a NUL"),
    "infinite score": ("t.jsonl", b'%s' % json.dumps(preference()).replace("4.25", "Infinity", 1)
                       .encode(), r":1: not a row: Infinity is not a number"),
    "pictures missing": ("t.jsonl", [preference(image_path="images/x", image_sha256="a" * 64)],
                         r":1: the image images/x is missing"),
    # TRL.
    "chosen by nobody": ("t.jsonl", [trl(chosen_side="left")], r":1: chosen_side is 'left'; exp"),
    "unknown dimension": ("t.jsonl", [trl("beauty")], r":1: dimension is 'beauty'; expected one"),
    "decided twice": ("t.jsonl", [trl(), trl("MQ"), trl("VQ", "B")],
                      r":3: the pair has a label of VQ in line 1 already"),
    "chosen is a number": ("t.jsonl", [trl(chosen=4)], r":1: chosen is '4'; expected a text"),
    "long conversation": ("t.jsonl", [trl(prompt=[{"content": "a"}, {"content": "b"}])],
                          r":1: prompt is .*expected a text"),
    # Label Studio.
    "an object": ("t.json", b"{}", r"t.json:1: not a list of tasks: expected a JSON list"),
    "cut in a task": ("t.json", lambda raw: raw[:-9], r"t.json:\d: not a list of tasks"),
    "behind the list": ("t.json", lambda raw: raw + b"[1]", r"t.json:2: not a list of tasks"),
    "very deep": ("t.json", nested(100_000), r"t.json:1: not a list of tasks: a task that is"),
    "wide": ("t.json", b"[[" + b"1," * 30_000 + b"1]]", r"t.json:1: .*too large"),
    "no task": ("t.json", b"[1, 2]", r"t.json:1: the task has no 'data'"),
    "JSON-MIN": ("t.json", [{"id": 1, "annotation_id": 4, "VQ": "A"}],
                 r"t.json:1: the task has no 'data' .*; export as JSON, not as JSON-MIN"),
    "an empty list": ("t.json", b"[]", r"t.json:1: there is no row"),
    "UTF-16": ("t.json", json.dumps(TASKS).encode("utf-16"), r"t.json:1: a NUL byte"),
    "no annotation": ("t.json", [task()], r"t.json:1: the task has no annotation"),
    "two choices": ("t.json", [task({"result": [{**result("VQ", "A"), "value": {"choices": ["A",
                    "B"]}}]})], r"t.json:1: VQ has .*expected one choice"),
    "a drawing": ("t.json", [task({"result": [result("VQ", [1, 2], "brushlabels")]})],
                  r"t.json:1: VQ is a 'brushlabels'; expected choices, number or rating"),
    "answered twice": ("t.json", [task({"result": [result("VQ", "A"), result("VQ", "B")]})],
                       r"t.json:1: a control is answered twice"),
    "control of another project": ("t.json", [task({"result": [result("mood", "A")]})],
                                   r"t.json:1: the control 'mood' is not asked about"),
    "twice by one": ("t.json", [task(annotation(7), annotation(7))],
                     r"t.json:1: label-studio-7 has 2 annotations of the task"),
    "several of nobody": ("t.json", [task(annotation(), annotation(7))], r"t.json:1: an annot"),
    "score of ten": ("t.json", [task({"result": [result("score_a_VQ", 10, "number")]})],
                     r"t.json:1: score_a_VQ is '10'; expected a number from 1 to 5"),
    "path of a list": ("t.json", [task(annotation(), video_a=["x"])], r"t.json:1: video_a is"),
    # Votes.
    "of the future": ("t.jsonl", [HEAD | {"schema": "votes/9"}], r":1: the file says .*votes/9"),
    "inside of a snapshot": ("t.jsonl", [{"schema": "preferences/1"}], r"t.jsonl: this is the"),
    "head of another set": ("t.jsonl", [{**HEAD, "dimensions": ["XX"]}, vote()], r":1: .*'XX'"),
    "votes twice": ("t.jsonl", [HEAD, vote("a"), vote("b"), vote("a")],
                    r":4: a has a vote on this pair in line 2 already"),
    "a state of mind": ("t.jsonl", [HEAD, vote(state="sure")], r":2: state is 'sure'; expected"),
    "says nothing": ("t.jsonl", [HEAD, vote(judgements={})], r":2: the vote says nothing"),
    "judgements in a row": ("t.jsonl", [HEAD, vote(judgements=["A"])], r":2: judgements must be"),
    "no reason of ours": ("t.jsonl", [HEAD, vote(judgements={"VQ": {"label": "invalid",
                          "reason": "meh"}})], r":2: the reason of VQ is 'meh'"),
    "only a head": ("t.jsonl", [HEAD], r"t.jsonl:1: there is no row"),
    "a name of 200": ("t.jsonl", [HEAD, vote("x" * 200)], r":2: annotator is"),
}  # fmt: skip


@pytest.mark.promise("M6")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_a_sentence_and_writes_nothing(
    here: None, tmp_path: Path, name: str
) -> None:
    file, content, words = HOSTILE[name]
    path = tmp_path / file
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif callable(content):
        spoil(path, content)
    else:
        write(path, copy.deepcopy(content))
    tables = (Campaign, Triplet, Consensus, Generator, Slot, ForeignVote, ForeignAnnotator)
    started = time.monotonic()
    with pytest.raises(ImportRefused, match=words) as told:
        bring(path)
    assert time.monotonic() - started < 2
    assert "\n" not in told.value.message
    assert not any(table.objects.exists() for table in tables)
    assert Video.objects.count() == len(SHA)


def spoil(path: Path, change: Callable[[bytes], bytes]) -> None:
    write(path, TASKS if path.suffix == ".json" else OTHER)
    path.write_bytes(change(path.read_bytes()))


def test_there_are_at_least_thirty_of_them() -> None:
    assert len(HOSTILE) >= 30


FOLDERS: dict[str, tuple[dict[str, Any], str]] = {
    "two tables": ({"a.parquet": OTHER, "b.jsonl": OTHER}, r"one table .*are a\.parquet, b"),
    "no table": ({"clip.txt": b"x"}, r"expected one table .*there is none"),
    "a card that lies": ({"README.md": CARD.format("data/x.parquet").encode(),
                          "data/t.parquet": OTHER}, r"README.md: it names data/x.parquet, which"),
    "a card that leads out": ({"README.md": CARD.format("../../x.parquet").encode(),
                               "data/t.parquet": OTHER}, r"README.md: its head does not name"),
    "a card of nonsense": ({"README.md": b"---\n: [\n---\n", "data/t.parquet": OTHER},
                           r"README.md: its head does not name data files"),
    "a card that builds objects": (
        {"README.md": b"---\nconfigs: !!python/object/apply:os.system [ls]\n---\n",
         "data/t.parquet": OTHER}, r"README.md: its head"),
    "saved to disk": ({"README.md": b"", "data/data-0.arrow": b"ARROW"}, r"with save_to_disk"),
    "shards that differ": ({"data/a.parquet": OTHER, "data/b.parquet": [preference(mood=1)]},
                           r"b\.parquet and .*a\.parquet differ in the column 'mood'"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_a_hostile_folder_is_refused_in_a_sentence(here: None, tmp_path: Path, name: str) -> None:
    files, words = FOLDERS[name]
    for file, content in files.items():
        path = tmp_path / "in" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content) if isinstance(content, bytes) else write(path, content)
    with pytest.raises(ImportRefused, match=words):
        bring(tmp_path / "in")
    assert not Campaign.objects.exists()


def test_single_clips_do_not_go_to_pairs_nor_pairs_to_single_clips(
    here: None, tmp_path: Path
) -> None:
    create_campaign("single", "videoalign", kind="single")
    with pytest.raises(ImportRefused, match=r":1: the row has two clips, but .* single ones"):
        bring(write(tmp_path / "t.parquet", [preference()]), "single")
