"""A VideoAlign CSV comes in whole or not at all, and goes out as it came."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Thread, local
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from annotation.campaigns import create_campaign, store_dimension_set
from annotation.errors import ImportRefused
from annotation.exporting import pair_id, write_videoalign
from annotation.imports.entering import Entering
from annotation.imports.reading_in import import_videoalign
from annotation.models import (
    Campaign,
    Consensus,
    Generator,
    Prompt,
    Slot,
    Triplet,
    Video,
)
from formats.dimensions import Dimension, DimensionSet

HEADER = "path_A,path_B,prompt,VQ,MQ,TA,fps_A,num_frames_A,fps_B,num_frames_B"
ROW = "videos/a.mp4,videos/b.mp4,a red square,A,same,B,8.0,5.0,8.0,5.0"

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path, clips) -> Path:
    (tmp_path / "in" / "videos").mkdir(parents=True)
    for name, clip in zip("abcd", clips, strict=False):
        (tmp_path / "in" / "videos" / f"{name}.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "in" / "videos" / "a_again.mp4").write_bytes(clips[0].read_bytes())
    return tmp_path / "in"


@pytest.fixture
def sheet(folder: Path):
    def write(*rows: str, header: str = HEADER, end: str = "\n") -> Path:
        path = folder / "labels.csv"
        path.write_bytes("".join(line + end for line in (header, *rows)).encode())
        return path

    return write


def nothing_was_written() -> bool:
    tables = (Campaign, Triplet, Video, Prompt, Consensus, Generator)
    return not any(table.objects.exists() for table in tables)


def test_labels_become_a_consensus_and_the_triplet_is_closed(sheet):
    report = import_videoalign(sheet(ROW), "real")
    triplet = Triplet.objects.get()
    assert (report.triplets, report.rows, report.duplicates, report.warnings) == (1, 1, (), ())
    assert triplet.state == "complete"
    found = {each.dimension.key: each for each in triplet.consensus.all()}
    assert {key: each.label for key, each in found.items()} == {"VQ": "A", "MQ": "tie", "TA": "B"}
    assert {each.source for each in found.values()} == {"import"}
    assert not Slot.objects.exists()
    campaign = Campaign.objects.get()
    assert (campaign.state, campaign.triplets_done, campaign.triplets_total) == ("closed", 1, 1)
    assert triplet.video_a.original_path == "videos/a.mp4"
    assert (triplet.video_a.fps, triplet.video_a.num_frames, triplet.video_a.width) == (8, 5, 32)


def test_a_pair_that_comes_again_is_skipped_and_named(sheet):
    report = import_videoalign(
        sheet(
            ROW,
            ROW.replace("videos/a", "./videos//a"),  # another spelling
            "videos/b.mp4,videos/a.mp4,a red square,B,same,A,8,5,8,5",  # mirrored
            ROW.replace("a.mp4", "a_again.mp4"),  # the same bytes
            ROW.replace("red", "blue"),
        ),
        "real",
    )
    assert report.triplets == 2
    assert [str(each) for each in report.duplicates] == [
        "line 3 repeats line 2",
        "line 4 repeats line 2 with A and B swapped",
        "line 5 repeats line 2",
    ]


def test_importing_twice_adds_nothing(sheet):
    import_videoalign(sheet(ROW), "real")
    again = import_videoalign(
        sheet("videos/b.mp4,videos/a.mp4,a red square,B,same,A,8,5,8,5"), "real"
    )
    assert again.triplets == 0
    assert str(again.duplicates[0]) == "line 2 is in the campaign already with A and B swapped"
    with pytest.raises(ImportRefused, match=r"labels.csv:2: .* has this pair already, otherwise"):
        import_videoalign(sheet(ROW.replace(",A,same", ",B,same")), "real")
    assert (Triplet.objects.count(), Campaign.objects.get().triplets_total) == (1, 1)


@pytest.mark.promise("M6")
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [ROW, ROW.replace(",A,same", ",B,same")],
            "labels.csv:3: the pair of line 2 comes again with other labels",
        ),
        (
            [ROW, "videos/b.mp4,videos/a.mp4,a red square,A,same,A,8,5,8,5"],
            "labels.csv:3: the pair of line 2 comes again, with A and B swapped, with other",
        ),
        (
            [ROW.replace("same", "tie")],
            "labels.csv:2: column MQ: unknown label 'tie'; expected one of A, B, same, invalid",
        ),
        ([ROW, ROW.replace("b.mp4", "x.mp4")], "labels.csv:3: the clip .*x.mp4 is missing"),
        ([ROW, ROW.replace("b.mp4", "bad.mp4")], "labels.csv:3: the clip .*bad.mp4 cannot be read"),
        ([ROW.replace("b.mp4", "none.mp4")], "labels.csv:2: the clip .*none.mp4 is empty"),
        ([ROW.replace("b.mp4", "a_again.mp4")], "labels.csv:2: path_A and path_B are the same"),
        ([ROW.replace("videos/a", "../videos/a")], "labels.csv:2: path_A is .*inside the folder"),
        ([ROW.replace("videos/a", "/videos/a")], "labels.csv:2: path_A is .*inside the folder"),
        ([ROW.replace("a red square", " ")], "labels.csv:2: the prompt is empty"),
        ([ROW + ",more"], "labels.csv:2: 11 fields; expected 10"),
        ([ROW, "videos/a.mp4"], "labels.csv:3: 1 fields; expected 10"),
        ([ROW.replace("8.0", "fast")], "labels.csv:2: fps_A is 'fast'; expected a number"),
        ([ROW.replace("a red square", '"a red')], "labels.csv:2: not CSV: unexpected end of data"),
        ([ROW, ROW.replace("red", "r\0d")], "labels.csv:3: a NUL byte; expected UTF-8 text"),
        ([], "labels.csv:1: there is no row below the header"),
    ],
)
def test_a_bad_row_refuses_the_whole_file(sheet, folder, rows, words):
    (folder / "videos" / "bad.mp4").write_bytes(b"not a clip" * 100)
    (folder / "videos" / "none.mp4").touch()
    with pytest.raises(ImportRefused, match=words):
        import_videoalign(sheet(*rows), "real")
    assert nothing_was_written()


@pytest.mark.promise("M6")
@pytest.mark.parametrize(
    ("header", "words"),
    [
        (HEADER.replace(",TA", ""), "labels.csv:1: the column 'TA' is missing; expected path_A"),
        (HEADER.replace("MQ", "VQ"), "labels.csv:1: the column 'VQ' comes twice"),
        (HEADER.replace("path_A", "path"), "labels.csv:1: the column 'path_A' is missing"),
    ],
)
def test_a_bad_header_refuses_the_file(sheet, header, words):
    with pytest.raises(ImportRefused, match=words):
        import_videoalign(sheet(ROW, header=header), "real")
    assert nothing_was_written()


@pytest.mark.promise("M6")
@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (f"{HEADER}\n{ROW}\n{ROW}".encode().replace(b"red", b"r\xe9d"), ":2: byte 0xe9 is not UTF"),
        (f"{HEADER}\n{ROW}\n".encode("utf-16"), "NUL byte"),
        (b"", ":1: the column 'path_A' is missing"),
    ],
)
def test_a_file_that_is_not_utf8_is_refused(sheet, raw, words):
    path = sheet(ROW)
    path.write_bytes(raw)
    with pytest.raises(ImportRefused, match=words):
        import_videoalign(path, "real")
    assert nothing_was_written()


def test_a_missing_file_is_one_sentence(folder):
    with pytest.raises(ImportRefused, match=r"nothing.csv: the file cannot be read: No such file"):
        import_videoalign(folder / "nothing.csv", "real")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(sheet):
    path = sheet(ROW, end="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert import_videoalign(path, "real").triplets == 1


def test_text_that_was_encoded_twice_is_a_warning_with_the_repaired_text(sheet, tmp_path):
    broken = "a café at “night”".encode().decode("cp1252", errors="ignore")
    path = sheet(ROW.replace("a red square", broken))
    report = import_videoalign(path, "real")
    assert len(report.warnings) == 1
    assert "labels.csv:2: the prompt was encoded twice" in report.warnings[0]
    assert "a café at “night" in report.warnings[0]
    assert Prompt.objects.get().text == broken  # as it stands, so that the export is exact


def test_numbers_that_the_clips_contradict_are_a_warning(sheet):
    report = import_videoalign(sheet(ROW.replace("8.0,5.0,8.0,5.0", "8.0,5.0,24.0,9")), "real")
    assert [each.split(": ", 1)[1] for each in report.warnings] == [
        "fps_B is 24, but the clip videos/b.mp4 has 8",
        "num_frames_B is 9, but the clip videos/b.mp4 has 5",
    ]
    assert Triplet.objects.get().video_b.fps == 8


EXACT = [
    ROW,
    'videos/c.mp4,./videos/d.mp4,"a ""quoted"", red square",invalid,B,same,8.0,5.0,8,5',
    "videos/a.mp4,videos/c.mp4,ein grünes Quadrat,B,A,A,,,,",
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_export_is_the_file_to_the_byte(sheet, folder, tmp_path, end):
    path = sheet(*EXACT, end=end)
    import_videoalign(path, "real")
    exported = tmp_path / "out.csv"
    write_videoalign(Triplet.objects.order_by("pk"), exported)
    assert exported.read_bytes() == path.read_bytes()
    import_videoalign(exported, "again", clips=folder)
    once, twice = (_said(name) for name in ("real", "again"))
    assert once == twice
    assert len(once) == 3


def _said(campaign: str) -> list:
    return [
        (
            pair_id(triplet),
            triplet.video_a_id,
            triplet.video_b_id,
            sorted(triplet.consensus.values_list("dimension__key", "label", "score_a", "score_b")),
        )
        for triplet in Triplet.objects.filter(campaign__name=campaign).order_by("pk")
    ]


def test_scores_names_and_unknown_columns_come_along(sheet, folder, tmp_path):
    header = f"{HEADER},MOS_A_VQ,MOS_B_VQ,A_model,B_model,Overall,pair_id"
    path = sheet(f"{ROW},3.5,,wan,sora,A,pair-7", header=header)
    report = import_videoalign(path, "real")
    assert report.warnings == (f"{path}:1: the column 'Overall' is kept, but not read as a label",)
    triplet = Triplet.objects.get()
    consensus = triplet.consensus.get(dimension__key="VQ")
    assert (consensus.score_a, consensus.score_b) == (3.5, None)
    assert (triplet.video_a.generator.name, triplet.video_b.generator.name) == ("wan", "sora")
    assert pair_id(triplet) == "pair-7"
    write_videoalign([triplet], tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == path.read_bytes()


def test_a_custom_dimension_set_has_its_own_columns(sheet):
    own = DimensionSet("own", "Own", (Dimension("glow", "Glow", "Which glows?", False),))
    store_dimension_set(own)
    create_campaign("mine", "own")
    with pytest.raises(ImportRefused, match="the column 'glow' is missing"):
        import_videoalign(sheet(ROW), "mine")
    path = sheet("videos/a.mp4,videos/b.mp4,red,B", header="path_A,path_B,prompt,glow")
    assert import_videoalign(path, "mine").triplets == 1
    assert Consensus.objects.get().label == "B"


def test_rows_that_were_voted_on_here_get_our_columns(
    make_campaign, people, annotator, side_of, tmp_path
):
    campaign = make_campaign(1, votes_wanted=2)
    for user, labels in zip(people(2), (["A", "B", "tie"], ["A", "A", "tie"]), strict=True):
        browser = annotator(user)
        given = browser.next(campaign)
        body = browser.ballot(given, [side_of(given, label) for label in labels])
        for side in ("left", "right"):
            body["judgements"]["VQ"][f"score_{side}"] = 4
        assert browser.send(body).status_code == 200
    report = write_videoalign(Triplet.objects.all(), tmp_path / "out.csv")
    header, row = (tmp_path / "out.csv").read_text().splitlines()
    assert header == f"{HEADER},MOS_A_VQ,MOS_B_VQ,pair_id"
    assert ",A,invalid,same,8.0,9.0,8.0,9.0,4.0,4.0," in row
    assert row.endswith(pair_id(Triplet.objects.get()))
    assert (report.rows, report.undecided) == (1, 1)  # MQ: one A, one B


def test_the_command_prints_the_report_and_fails_with_one_sentence(sheet, capsys):
    call_command("import_triplets", str(sheet(ROW, ROW)), campaign="real")
    out = capsys.readouterr().out
    assert "real: 1 triplets from 2 rows, 1 duplicates skipped, 0 warnings" in out
    assert "duplicate: line 3 repeats line 2" in out
    with pytest.raises(CommandError, match=r"labels.csv:2: column VQ: unknown label"):
        call_command("import_triplets", str(sheet(ROW.replace(",A,same", ",?,same"))), campaign="x")


@pytest.mark.shared
def test_the_real_file_yields_three_triplets_and_names_nine_duplicates(shared, tmp_path):
    file = shared / "data" / "videoalign" / "example.csv"
    report = import_videoalign(file, "real")
    assert (report.rows, report.triplets, report.warnings) == (12, 3, ())
    # Lines 2, 3, 4 are the pairs; each comes three more times.
    assert [(each.line, each.repeats) for each in report.duplicates] == [
        (line, 2 + (line - 2) % 3) for line in range(5, 14)
    ]
    labels = [
        "".join(each.label[0] for each in triplet.consensus.order_by("dimension__position"))
        for triplet in Triplet.objects.order_by("pk")
    ]
    assert labels == ["BBA", "ttA", "Att"]
    clips = Triplet.objects.order_by("pk").values_list(
        "video_a__fps", "video_a__num_frames", "video_b__fps", "video_b__num_frames"
    )
    assert list(clips) == [(24, 126, 30, 152), (24, 144, 24, 128), (24, 128, 16, 60)]
    exported = tmp_path / "out.csv"
    write_videoalign(Triplet.objects.order_by("pk"), exported)
    assert exported.read_text() == "".join(file.read_text().splitlines(keepends=True)[:4])
    again = import_videoalign(exported, "again", clips=file.parent)
    assert (again.triplets, _said("again")) == (3, _said("real"))


@pytest.mark.django_db(transaction=True)
def test_two_files_that_bring_the_same_prompts_in_another_order_both_come_in(
    sheet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has written one prompt when it asks for the other one's."""
    rows = [ROW, "videos/c.mp4,videos/d.mp4,a blue square,B,same,A,8.0,5.0,8.0,5.0"]
    files = []
    for name, some in (("one", rows), ("two", rows[::-1])):
        files.append(sheet(*some).rename(sheet(*some).with_name(f"{name}.csv")))
    both, plain, asked = Barrier(2), Entering._prompt, local()

    def prompt(work: Entering, row: Any) -> Prompt:
        found = plain(work, row)
        asked.count = getattr(asked, "count", 0) + 1
        if asked.count == 1:
            with suppress(BrokenBarrierError):
                both.wait(1)  # SQLite has one writer: nobody comes
        return found

    monkeypatch.setattr(Entering, "_prompt", prompt)
    told: dict[str, Any] = {}

    def take_in(file: Path) -> None:
        try:
            told[file.stem] = import_videoalign(file, file.stem).triplets
        except Exception as error:  # noqa: BLE001  told below, in the thread of the test
            told[file.stem] = error
        finally:
            connections.close_all()

    threads = [Thread(target=take_in, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {"one": 2, "two": 2}
    assert Prompt.objects.count() == 2
    assert Video.objects.count() == 4
