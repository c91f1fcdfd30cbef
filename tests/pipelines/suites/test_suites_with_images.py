"""Suites with reference images: beside the table, in a folder, in an archive; what is missing."""

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from annotation.models import ReferenceImage
from formats.errors import FormatError
from pipelines.models import Suite
from pipelines.suites.files import read_suite
from pipelines.suites.shelf import Given, import_suite, suite_prompts

pytestmark = pytest.mark.django_db


def _picture(path: Path, shade: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (shade, 10, 10)).save(path)
    return path


def _table(folder: Path, *rows: str, name: str = "suite.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("prompt,image_path\n" + "".join(f"{row}\n" for row in rows))
    return path


def test_images_beside_the_table_become_start_images_of_the_prompts(tmp_path: Path) -> None:
    _picture(tmp_path / "images" / "a.png")
    table = _table(tmp_path, "a red ball,images/a.png", "a blue ball,")
    ball, blue = suite_prompts(import_suite(table, "balls").suite)
    assert ball.image is not None
    assert ball.image.sha256 == ReferenceImage.objects.get().sha256
    assert blue.image is None


def test_one_text_with_two_images_is_two_prompts_and_one_image_twice_is_one(tmp_path: Path) -> None:
    _picture(tmp_path / "a.png")
    _picture(tmp_path / "b.png", 200)
    table = _table(tmp_path, "a ball,a.png", "a ball,b.png", "a cube,a.png", "a ball,a.png")
    report = import_suite(table, "balls")
    assert report.prompts == 3
    assert report.duplicates == [f"{table}:5: the prompt of line 2 again"]
    assert ReferenceImage.objects.count() == 2


def test_an_archive_and_a_folder_bring_their_images_along(tmp_path: Path) -> None:
    folder = tmp_path / "given"
    _picture(folder / "pictures" / "a.png")
    _table(folder, "a ball,pictures/a.png")
    archive = tmp_path / "given.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name in ("suite.csv", "pictures/a.png"):
            packed.write(folder / name, name)
    of_folder = import_suite(folder, "folder").suite
    of_archive = import_suite(Given(archive, "upload.zip"), "archive").suite
    assert suite_prompts(of_folder)[0].image == suite_prompts(of_archive)[0].image
    assert of_archive.source == "suite.csv"


def test_images_may_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    _picture(tmp_path / "elsewhere" / "a.png")
    table = _table(tmp_path / "tables", "a ball,a.png")
    suite = import_suite(Given(table, images=tmp_path / "elsewhere"), "balls").suite
    assert suite_prompts(suite)[0].image is not None


def test_all_missing_images_are_named_with_their_lines_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    _picture(tmp_path / "a.png")
    table = _table(tmp_path, "one,a.png", "two,b.png", "three,../../etc/hosts", "four,b.png")
    with pytest.raises(FormatError) as caught:
        import_suite(table, "balls")
    assert str(caught.value).startswith(
        f"{table}: 2 reference images are not there: line 3: b.png; line 4: ../../etc/hosts; put"
    )
    assert not Suite.objects.exists()


def test_an_image_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not a picture")
    with pytest.raises(FormatError, match=r"suite.csv:2: the image a.png cannot be read as PNG"):
        import_suite(_table(tmp_path, "one,a.png"), "balls")


def test_a_duplicate_that_says_something_else_is_told_with_what_stands(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("prompt,category,prompt_zh\none,x,一\ntwo,,\none,y,壹\n")
    (told,) = read_suite(path).duplicates
    assert told == (
        f"{path}:4: the prompt of line 2 again, with another translation and category: that of"
        " line 2 stands"
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"prompt": "a", "category": 3}', "s.jsonl:1: category must be a text, got 3"),
        ('{"prompt": ["a"]}', "s.jsonl:1: expected an object with the text 'prompt'"),
        ('{"prompt": "a"', "s.jsonl:1: not JSON: "),
        ("[" * 100_000, "s.jsonl:1: not JSON: nested too deeply"),
        ('{"prompt": "a\\u0000"}', "s.jsonl:1: the prompt has a zero byte"),
        ('{"prompt": "a", "category": "' + "x" * 101 + '"}', "s.jsonl:1: category has at most 100"),
    ],
)
def test_json_lines_that_do_not_fit_are_refused_by_line(
    tmp_path: Path, line: str, sentence: str
) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(FormatError) as caught:
        read_suite(path)
    assert sentence in str(caught.value)


def test_entries_that_nobody_reads_are_told_once(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text('{"prompt": "a", "fps": 8}\n{"prompt": "b", "fps": 8}\n')
    assert read_suite(path).warnings == [f"{path}: the entry 'fps' is not used"]


@pytest.mark.parametrize("name", ["", "  ", "a/b", "x" * 101, "line\nbreak"])
def test_a_suite_has_a_name_that_can_stand_on_a_page(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match="the name of a suite has 1 to 100 letters and no slash"):
        import_suite(_table(tmp_path, "one,"), name)


def test_the_real_suites_are_told_with_their_real_faults(shared: Path) -> None:
    folder = shared / "data" / "videoalign"
    told = {
        name: read_suite(folder / f"{name}.csv", name=f"{name}.csv")
        for name in ("vbench", "videogen_eval", "TA_hard")
    }
    # One Chinese prompt lost its Arabic words to question marks; nothing else is wrong.
    (warning,) = [each for found in told.values() for each in found.warnings]
    assert warning == (
        "videogen_eval.csv:383: prompt_zh has characters that an earlier conversion lost: "
        "生成文本“…有阿拉伯语, 位于城市景观"
    )
    assert [found.duplicates for found in told.values()] == [[], [], []]
