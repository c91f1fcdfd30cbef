"""One row model for CSV, JSON lines, Parquet, folders and archives (RELIABILITY V10, M6)."""

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from annotation.campaigns import create_campaign
from annotation.errors import ImportRefused
from annotation.exporting import pair_id, write_videoalign
from annotation.imports import reading_in
from annotation.imports.reading_in import Target, import_rows
from annotation.imports.sources import opened, table_with_clips
from annotation.media import bounded
from annotation.models import (
    Campaign,
    Consensus,
    DimensionSet,
    Generator,
    Prompt,
    ReferenceImage,
    Slot,
    Triplet,
    Video,
)

pytestmark = pytest.mark.django_db
TABLES = (Campaign, Triplet, Video, Prompt, Consensus, Generator, Slot)


@pytest.fixture
def folder(tmp_path: Path, clips: list[Path]) -> Path:
    (tmp_path / "in").mkdir()
    for name, clip in zip("abcd", clips, strict=False):
        (tmp_path / "in" / f"{name}.mp4").write_bytes(clip.read_bytes())
    return tmp_path / "in"


def bring(given: Path, campaign: str = "new", **options: Any) -> Any:
    with opened(given) as source:
        return import_rows(source, Target(campaign, **options))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The same rows in the format that the name asks for."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join(rows[0])] + [",".join(map(str, row.values())) for row in rows]
        path.write_text("\n".join(lines))
    return path


ROWS = [
    {"path_A": "a.mp4", "path_B": "b.mp4", "prompt": "a red square", "A_model": "wan", "seed_A": 7},
    {"path_A": "c.mp4", "path_B": "d.mp4", "prompt": "a cat", "A_model": "sora", "seed_A": 8},
]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_every_format_says_the_same(folder, name):
    report = bring(write(folder / name, ROWS))
    assert (report.triplets, report.warnings) == (2, ())
    campaign = Campaign.objects.get()
    assert (campaign.state, campaign.triplets_total) == ("draft", 2)
    assert Slot.objects.filter(state="open").count() == 6
    said = {
        (
            each.prompt.text,
            each.video_a.original_path,
            each.video_a.seed,
            str(each.video_a.generator),
        )
        for each in Triplet.objects.all()
    }
    assert said == {("a red square", "a.mp4", 7, "wan"), ("a cat", "c.mp4", 8, "sora")}
    again = bring(folder / name)
    assert (again.triplets, len(again.duplicates)) == (0, 2)
    assert Triplet.objects.count() == 2


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_labels_of_every_format_go_out_as_videoalign(folder, name, tmp_path):
    labelled = [
        {**ROWS[0], "VQ": "A", "MQ": "same", "TA": "B", "MOS_A_VQ": 4.5, "pair_id": "p-1"},
        {**ROWS[1], "VQ": "invalid", "MQ": "B", "TA": "B", "MOS_A_VQ": 2.0, "pair_id": "p-2"},
    ]
    bring(write(folder / name, labelled))
    assert Campaign.objects.get().state == "closed"
    assert {pair_id(each) for each in Triplet.objects.all()} == {"p-1", "p-2"}
    out = tmp_path / "out.csv"
    write_videoalign(Triplet.objects.order_by("pk"), out)
    report = import_rows(table_with_clips(out, folder), Target("again"))
    assert report.triplets == 2
    for campaign in ("new", "again"):
        settled = Consensus.objects.filter(triplet__campaign__name=campaign)
        assert sorted(settled.values_list("dimension__key", "label", "score_a"), key=str) == sorted(
            [
                *(("VQ", "A", 4.5), ("MQ", "tie", None), ("TA", "B", None)),
                *(("VQ", "invalid", 2.0), ("MQ", "B", None), ("TA", "B", None)),
            ],
            key=str,
        )


@pytest.mark.promise("V10")
def test_a_thousand_rows_with_two_hundred_swapped_give_eight_hundred_triplets(tmp_path, folder):
    """V10: the same pair never comes twice, also not as B/A, and each is reported by its line."""
    prompts = [f"prompt {n}" for n in range(800)]
    rows = [f"a.mp4,b.mp4,{prompt}" for prompt in prompts]
    rows += [f"b.mp4,a.mp4,{prompt}" for prompt in prompts[:200]]
    table = folder / "pairs.csv"
    table.write_text("\n".join(["path_A,path_B,prompt", *rows]))
    report = bring(table)
    assert (report.rows, report.triplets) == (1000, 800)
    assert [str(each) for each in report.duplicates] == [
        f"line {802 + n} repeats line {2 + n} with A and B swapped" for n in range(200)
    ]
    again = bring(table)
    assert (again.triplets, len(again.duplicates)) == (0, 1000)
    assert Campaign.objects.get().triplets_total == 800


def test_clips_that_are_here_are_named_by_id_and_need_no_file(make_campaign, tmp_path):
    here = make_campaign(3)
    rows = [
        {"video_A": str(each.video_a_id), "video_B": str(each.video_b_id), "priority": n}
        for n, each in enumerate(here.triplets.all())
    ]
    report = bring(write(tmp_path / "t.csv", rows))
    assert report.triplets == 3
    new = Triplet.objects.filter(campaign__name="new").order_by("priority")
    assert [each.video_a_id for each in new] == [each.video_a_id for each in here.triplets.all()]
    # A higher priority is asked earlier: a smaller place in the queue.
    places = list(new.values_list("slots__position", flat=True).distinct())
    assert max(places[-1:]) < min(places[:1])


def test_single_clips_come_with_their_scores_or_to_be_scored(folder):
    create_campaign("scored", "anime-groups", kind="single")
    rows = [
        {"path": f"{name}.mp4", "prompt": "p", "MOS_appearance": 4.2, "MOS_consistency": 1}
        for name in "ab"
    ]
    was = write(folder / "t.csv", rows).read_text() + "\n"
    report = bring(folder / "t.csv", "scored")
    assert report.triplets == 2
    assert set(Consensus.objects.values_list("label", "score_a", "score_b", "source")) == {
        (None, 4.2, None, "import"),
        (None, 1.0, None, "import"),
    }
    bare = [{"path": "c.mp4", "prompt": "p"}, {"path": "c.mp4", "prompt": "p"}]
    report = bring(write(folder / "t.csv", bare), "scored")
    assert (report.triplets, [str(each) for each in report.duplicates]) == (
        1,
        ["line 3 repeats line 2"],
    )
    assert Triplet.objects.filter(state="open", video_b=None, need=3).count() == 1
    out = folder.parent / "out.csv"
    write_videoalign(Triplet.objects.filter(state="complete").order_by("pk"), out)
    assert out.read_text() == was


def test_clips_for_a_campaign_of_pairs_go_to_its_pool(folder):
    create_campaign("pairs", "videoalign")
    rows = [{"path": f"{name}.mp4", "prompt": "p", "model": name} for name in "abc"]
    report = bring(write(folder / "t.jsonl", rows), "pairs")
    assert (report.triplets, report.pooled) == (0, 3)
    assert {str(each.generator) for each in Campaign.objects.get().pool.all()} == set("abc")
    assert bring(folder / "t.jsonl", "pairs").pooled == 0


def test_prompts_bring_category_translations_and_a_reference_image(folder):
    Image.new("RGB", (40, 30), "red").save(folder / "first.png")
    rows = [
        {
            **ROWS[0],
            "image_path": "first.png",
            "category": "shapes",
            "translations": {"ja": "赤い四角", "ko": "빨간 사각형"},
        }
    ]
    assert bring(write(folder / "t.jsonl", rows)).warnings == ()
    prompt = Prompt.objects.get()
    assert prompt.category == "shapes"
    assert prompt.translations == {"ja": "赤い四角", "ko": "빨간 사각형"}
    assert (prompt.image.width, prompt.image.height) == (40, 30)
    assert prompt.image.original_path == "first.png"
    # The same words without the picture are another prompt.
    bring(write(folder / "u.csv", ROWS[:1]), "other")
    assert Prompt.objects.count() == 2


def test_a_category_that_a_prompt_has_already_is_kept_and_told(folder):
    bring(write(folder / "t.csv", [{**ROWS[0], "category": "shapes"}]))
    report = bring(write(folder / "t.csv", [{**ROWS[0], "category": "cats"}]), "other")
    assert Prompt.objects.get().category == "shapes"
    assert [each.split(": ", 1)[1] for each in report.warnings] == [
        "the prompt is in the category 'shapes' already; kept"
    ]


def test_a_broken_image_is_named_by_its_line(folder):
    (folder / "first.png").write_bytes(b"no picture")
    table = write(folder / "t.csv", [{**ROWS[0], "image_path": "first.png"}])
    with pytest.raises(ImportRefused, match=r"t.csv:2: the image .*cannot be read"):
        bring(table)
    assert not any(table.objects.exists() for table in (*TABLES, ReferenceImage))


def test_pictures_are_decoded_before_the_campaign_is_locked(folder, monkeypatch):
    """Each takes long, and whoever votes there meanwhile would wait for the lock."""
    create_campaign("new", "videoalign")
    for name in ("first", "second"):
        Image.new("RGB", (40, 30), "red" if name == "first" else "blue").save(
            folder / f"{name}.png"
        )
    rows = [
        {**ROWS[0], "image_path": "first.png"},
        {**ROWS[1], "image_path": "second.png"},
        {**ROWS[0], "prompt": "other words", "image_path": "first.png"},
    ]
    happened = []

    def told(word, plain):
        def act(*given, **named):
            happened.append(word)
            return plain(*given, **named)

        return act

    child = bounded.Bounded
    monkeypatch.setattr(child, "picture", told("decoded", child.picture))
    monkeypatch.setattr(reading_in, "_locked", told("locked", reading_in._locked))
    assert bring(write(folder / "t.csv", rows)).triplets == 3
    assert happened == ["decoded", "decoded", "locked"]
    assert {each.image.width for each in Prompt.objects.all()} == {40}
    assert ReferenceImage.objects.count() == 2


@pytest.mark.parametrize(
    "more",
    [lambda number: {"priority": number}, lambda _: {"VQ": "A", "MQ": "same", "TA": "B"}],
    ids=["to vote on", "with labels"],
)
def test_prompts_and_clips_are_written_before_the_campaign_is_locked(folder, monkeypatch, more):
    """Whoever completes a pair there waits for the lock; of a large file, these take longest."""
    create_campaign("new", "videoalign")
    there, plain = [], reading_in._locked

    def locked(campaign, asked):
        there.append((Prompt.objects.count(), Video.objects.count(), Triplet.objects.count()))
        return plain(campaign, asked)

    monkeypatch.setattr(reading_in, "_locked", locked)
    rows = [{**row, **more(number)} for number, row in enumerate(ROWS)]
    assert bring(write(folder / "t.csv", rows)).triplets == 2
    ((prompts, videos, triplets),) = there
    assert (prompts, videos, triplets) == (Prompt.objects.count(), Video.objects.count(), 0)
    assert prompts > 0


def test_all_broken_images_are_named_at_once(folder):
    create_campaign("new", "videoalign")
    rows = [{**ROWS[0], "image_path": "x.png"}, {**ROWS[1], "image_path": "y.png"}]
    for name in ("x.png", "y.png"):
        (folder / name).write_bytes(f"no picture {name}".encode())
    with pytest.raises(ImportRefused) as refused:
        bring(write(folder / "t.csv", rows))
    assert [each["line"] for each in refused.value.details["faults"]] == [2, 3]
    assert not any(table.objects.exists() for table in (Video, Prompt, ReferenceImage))


def test_a_folder_and_an_archive_bring_table_and_clips(folder, tmp_path):
    write(folder / "pairs.csv", ROWS)
    assert bring(folder, "from a folder").triplets == 2
    archive = tmp_path / "batch.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in folder.iterdir():
            packed.write(file, f"batch/{file.name}")
    assert bring(archive, "from a zip").triplets == 2
    assert Video.objects.count() == 4
    (folder / "more.jsonl").write_text("{}")
    with pytest.raises(ImportRefused, match=r"expected one table .* there are more.jsonl, pairs"):
        bring(folder)


def test_a_link_out_of_the_folder_is_no_clip(folder, clips):
    (folder / "link.mp4").symlink_to(clips[0])
    table = write(folder / "t.csv", [{**ROWS[0], "path_A": "link.mp4"}])
    with pytest.raises(ImportRefused, match=r"the clip link\.mp4 is missing"):
        bring(table)


def test_labels_of_another_set_are_not_dropped(folder):
    create_campaign("anime", "anime")
    labelled = [{**ROWS[0], "VQ": "A", "MQ": "A", "TA": "A"}]
    with pytest.raises(ImportRefused, match="those of the set videoalign; the campaign asks about"):
        bring(write(folder / "t.csv", labelled), "anime")


PAIR = "path_A,path_B,prompt\na.mp4,b.mp4,red\n"
GOOD = '{"path_A": "a.mp4", "path_B": "b.mp4", "prompt": "red"}\n'
BAD: dict[str, tuple[str, bytes, str]] = {
    "NUL": ("t.csv", (PAIR + "c.mp4,d.mp4,r\0ed").encode(), r"t.csv:3: a NUL byte"),
    "UTF-16": ("t.csv", PAIR.encode("utf-16"), r"t.csv:1: a NUL byte; expected UTF-8"),
    "Latin-1": ("t.csv", (PAIR + "c.mp4,d.mp4,gr\xfcn").encode("latin-1"), r"t.csv:3: byte 0xfc"),
    "cut in a letter": ("t.csv", (PAIR + "c.mp4,d.mp4,ü").encode()[:-1], r"t.csv:3: byte 0xc3"),
    "10 MB cell": ("t.csv", PAIR.encode() + b"a.mp4,b.mp4," + b"x" * 10_000_000, r":3: a line of"),
    "long prompt": ("t.csv", f"{PAIR}a.mp4,c.mp4,{'x' * 10_001}".encode(), r":3: the prompt"),
    "duplicate header": ("t.csv", b"path_A,path_A,prompt\na,b,c", r":1: .*comes twice"),
    "ragged": ("t.csv", (PAIR + "a.mp4,b.mp4").encode(), r"t.csv:3: 2 fields; expected 3"),
    "open quote": ("t.csv", (PAIR + 'a.mp4,c.mp4,"red').encode(), r"t.csv:3: not CSV"),
    "no header": ("t.csv", b"a.mp4,b.mp4,red\n", r"t.csv:1: the column 'path_A' is missing"),
    "empty": ("t.csv", b"", r"t.csv:1: the column 'path_A' is missing"),
    "only a header": ("t.csv", b"path_A,path_B,prompt\n", r"t.csv:1: there is no row"),
    "absolute": ("t.csv", (PAIR + "/etc/passwd,b.mp4,red").encode(), r"t.csv:3: path_A is '/etc"),
    "parent": ("t.csv", (PAIR + "a.mp4,x/../../b.mp4,red").encode(), r"t.csv:3: path_B is 'x/"),
    "backslash": ("t.csv", (PAIR + "a.mp4,..\\b.mp4,red").encode(), r"t.csv:3: path_B is"),
    "bad number": ("t.jsonl", (GOOD + GOOD.replace("}", ', "seed_A": "x"}')).encode(), r":2: the"),
    "array": ("t.jsonl", (GOOD + "[1, 2]").encode(), r":2: not a row: expected a"),
    "twice in an object": ("t.jsonl", b'{"prompt": "a", "prompt": "b"}', r":1: .*comes twice"),
    "NaN": ("t.jsonl", GOOD.replace('"red"', "NaN").encode(), r"t.jsonl:1: not a row: NaN is not"),
    "deep": ("t.jsonl", b'{"prompt": ' + b"[" * 100_000, r"t.jsonl:1: "),
    "list for text": ("t.jsonl", GOOD.replace('"red"', '["red"]').encode(), r":1: prompt is "),
    "not Parquet": ("t.parquet", b"PAR1 it is not PAR1", r"t.parquet: not a Parquet file"),
    "other file": ("t.xlsx", b"PK", r"t.xlsx: expected a table that ends in .csv, .jsonl"),
}  # fmt: skip


@pytest.mark.promise("M6")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_its_line_and_writes_nothing(folder, name):
    file, raw, words = BAD[name]
    (folder / file).write_bytes(raw)
    started = time.monotonic()
    with pytest.raises(ImportRefused, match=words):
        bring(folder / file)
    assert time.monotonic() - started < 2
    assert not any(table.objects.exists() for table in TABLES)


def test_all_faults_of_a_file_are_told_at_once(folder):
    rows = [*PAIR.splitlines(), "x.mp4,b.mp4,red", "y.mp4,b.mp4,red"]
    (folder / "t.csv").write_text("\n".join(rows))
    with pytest.raises(
        ImportRefused, match=r"t.csv:3: the clip x.mp4 is missing \(and one"
    ) as told:
        bring(folder / "t.csv")
    assert told.value.details["faults"] == [
        {"line": 3, "error": "the clip x.mp4 is missing"},
        {"line": 4, "error": "the clip y.mp4 is missing"},
    ]


def test_the_command_makes_a_campaign_as_it_is_told(folder, capsys):
    table = write(folder / "t.csv", [{"path": "a.mp4", "prompt": "p"}])
    call_command(
        "import_triplets", str(table), campaign="alone", dimension_set="anime-groups", kind="single"
    )
    assert "alone: 1 triplets from 1 rows" in capsys.readouterr().out
    campaign = Campaign.objects.get()
    assert (campaign.kind, campaign.dimension_set.name) == ("single", "anime-groups")
    (folder / "t.csv").write_text("path_A\n")
    with pytest.raises(CommandError, match=r"t.csv:1: the column 'path' is missing"):
        call_command("import_triplets", str(folder / "t.csv"), campaign="alone")


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Somebody else does this while the clips of an import are decoded."""
    plain = reading_in.probe_all

    def probe_all(*given: Any) -> None:
        plain(*given)
        act()

    monkeypatch.setattr(reading_in, "probe_all", probe_all)


@pytest.mark.parametrize("by_key", [True, False])
def test_a_campaign_that_is_renamed_during_an_import_gets_the_rows(folder, monkeypatch, by_key):
    campaign = create_campaign("old name", "anime")
    meanwhile(monkeypatch, lambda: Campaign.objects.update(name="new name"))
    report = bring(
        write(folder / "t.csv", ROWS), "old name", **({"pk": campaign.pk} if by_key else {})
    )
    assert (report.campaign_id, report.campaign) == (campaign.pk, "new name")
    assert Campaign.objects.get().triplets_total == 2


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: Campaign.objects.all().delete(), "the campaign 'one' is not there any more"),
        (
            lambda: Campaign.objects.update(dimension_set=DimensionSet.objects.get(name="anime")),
            "what 'one' asks has changed meanwhile",
        ),
        (lambda: Campaign.objects.update(kind="single"), "what 'one' asks has changed meanwhile"),
    ],
    ids=["gone", "dimensions", "kind"],
)
def test_a_campaign_that_asks_something_else_after_decoding_gets_no_rows(
    folder, monkeypatch, act, words
):
    create_campaign("one", "videoalign")
    meanwhile(monkeypatch, act)
    with pytest.raises(ImportRefused, match=words):
        bring(write(folder / "t.csv", ROWS), "one")
    assert not Triplet.objects.exists()


def test_imports_at_once_keep_each_others_translations(folder, monkeypatch):
    bring(write(folder / "t.csv", ROWS[:1]))
    left, right = Video.objects.order_by("original_path")
    ids = {"video_A": str(left.pk), "video_B": str(right.pk), "prompt": "a red square"}
    table = write(folder / "ids.jsonl", [{**ids, "prompt_ko": "붉은 네모", "category": "shapes"}])
    said = {"translations": {"zh": "红色方块"}, "category": "colours"}
    meanwhile(monkeypatch, lambda: Prompt.objects.update(**said))
    report = bring(table, "other")
    prompt = Prompt.objects.get()
    assert prompt.translations == {"zh": "红色方块", "ko": "붉은 네모"}
    assert prompt.category == "colours"
    (warning,) = report.warnings
    assert warning.endswith("the prompt is in the category 'colours' already; kept")
