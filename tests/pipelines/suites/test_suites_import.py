"""Prompt suites: three kinds of file, real ones, and every way in which a file can be wrong."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from formats.errors import FormatError
from pipelines.models import Suite, SuitePrompt
from pipelines.splitting import Split
from pipelines.suites.files import read_suite
from pipelines.suites.shelf import import_suite, suite_prompts, with_split

pytestmark = pytest.mark.django_db


def _file(folder: Path, text: str | bytes, name: str = "suite.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_csv_brings_short_prompts_and_translations(tmp_path: Path) -> None:
    path = _file(tmp_path, 'prompt,prompt_shorter,prompt_zh\n"a red ball,\nrolling",ball,红球\n')
    report = import_suite(path, "balls")
    (row,) = suite_prompts(report.suite)
    assert row.text == "a red ball,\nrolling"
    assert row.translations == {"zh": "红球"}
    assert SuitePrompt.objects.get().short_text == "ball"


def test_json_lines_and_plain_lists_are_read_too(tmp_path: Path) -> None:
    lines = _file(tmp_path, '{"prompt": "one", "category": "x"}\n{"prompt": "two"}\n', "a.jsonl")
    plain = _file(tmp_path, "one\n\ntwo\n", "a.txt")
    assert [row.text for row in read_suite(lines).rows] == ["one", "two"]
    assert [row.line for row in read_suite(plain).rows] == [1, 3]


def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    path = _file(tmp_path, "prompt\none\n")
    first = import_suite(path, "s")
    assert import_suite(path, "s").suite == first.suite
    assert SuitePrompt.objects.count() == 1


def test_another_file_under_a_taken_name_is_refused(tmp_path: Path) -> None:
    import_suite(_file(tmp_path, "prompt\none\n"), "s")
    with pytest.raises(FormatError, match="there is a suite 's' with other prompts"):
        import_suite(_file(tmp_path, "prompt\ntwo\n"), "s")
    assert [row.text for row in SuitePrompt.objects.all()] == ["one"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("text\none\n", r"suite.csv:1: the column 'prompt' is missing; there are: text"),
        (b"prompt\nok\ncaf\xe9\n", r"suite.csv:3: not UTF-8 text: byte 0xe9"),
        ("prompt\n", r"suite.csv: the file has no prompt"),
        ("", r"the column 'prompt' is missing; there are: none"),
        ("prompt,split\none,train\ntwo,tset\n", r"suite.csv:3: unknown split 'tset'"),
        ('prompt\n"a\nb"\n" "\n', r"suite.csv:4: the prompt is empty"),
        ("prompt,x\none\n", r"suite.csv:2: expected 2 columns, found 1"),
        ("prompt,prompt\none,two\n", r"the column 'prompt' comes twice"),
    ],
)
def test_a_bad_file_is_refused_whole_with_its_line(
    tmp_path: Path, text: str | bytes, sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("import_suite", str(_file(tmp_path, text)), "--name", "s")
    assert not Suite.objects.exists()


def test_a_duplicate_prompt_is_skipped_and_named_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _file(tmp_path, "prompt\none\ntwo\none\n")
    call_command("import_suite", str(path), "--name", "s")
    out, err = capsys.readouterr()
    assert f"{path}:4: the prompt of line 2 again" in err
    assert "2 prompts, 1 duplicates skipped" in out


def test_text_that_was_encoded_twice_is_named_with_what_was_meant(tmp_path: Path) -> None:
    path = _file(tmp_path, "prompt\nplain\na cafÃ© at night\n")
    found = read_suite(path)
    assert found.warnings == [
        f"{path}:3: prompt was encoded twice; it should read: a café at night"
    ]
    # Nothing is silently replaced: the text stays as it stands unless repair is asked for.
    assert found.rows[1].text == "a cafÃ© at night"
    assert read_suite(path, repair=True).rows[1].text == "a café at night"


def test_the_real_suites_come_with_their_chinese(shared: Path) -> None:
    folder = shared / "data" / "videoalign"
    sizes: dict[str, Any] = {}
    for name in ("vbench", "videogen_eval", "TA_hard"):
        suite = import_suite(folder / f"{name}.csv", name).suite
        rows = suite_prompts(suite)
        sizes[name] = len(rows)
        assert all(row.translations.get("zh") for row in rows)
    assert sizes == {"vbench": 946, "videogen_eval": 400, "TA_hard": 72}


def test_a_prompt_never_changes_its_side_of_the_split(tmp_path: Path) -> None:
    path = _file(tmp_path, "prompt\n" + "".join(f"prompt {n}\n" for n in range(400)))
    rows = suite_prompts(import_suite(path, "s").suite)
    sides = {side: with_split(rows, Split(), side) for side in ("train", "validation", "test")}
    assert sum(map(len, sides.values())) == 400
    assert 240 < len(sides["train"]) < 320  # 70 %, give or take
    again = with_split(list(reversed(rows))[:50], Split(), "train")
    assert {row.text for row in again} <= {row.text for row in sides["train"]}
    assert with_split(rows, Split(seed=1), "train") != sides["train"]
