"""`python -m models_rm`: a table of words."""

from pathlib import Path
from pkgutil import resolve_name

import pytest

from formats.errors import FormatError
from formats.outcome import ExitCode
from formats.run_dir import RunDir
from formats.supervised import BadConfigError
from models_rm import __main__ as door


@pytest.mark.parametrize("word", [*door.TRAINERS, *door.TOOLS])
def test_every_command_leads_to_a_function(word: str) -> None:
    command = {**door.TRAINERS, **door.TOOLS}[word]
    assert callable(resolve_name(command.function))
    assert f"{word} " in door.usage()


@pytest.mark.parametrize("words", [[], ["trian", "x"], ["train"], ["train", "a", "b"], ["--fast"]])
def test_a_wrong_call_shows_the_commands(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert door.main(words) == 2
    assert "score RUN_DIR" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["train", "-h"]])
def test_help_is_no_mistake(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(words) == 0
    assert "train RUN_DIR" in capsys.readouterr().out


def test_a_run_directory_without_inputs_leaves_an_outcome(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.prepare({}, {})
    assert door.main(["score", str(tmp_path)]) == ExitCode.BAD_DATA
    outcome = run.outcome()
    assert outcome is not None
    assert "no input 'reward_model'" in outcome.message


def refuse_config(_words: list[str]) -> int:
    raise BadConfigError("no such thing")


def refuse_data(words: list[str]) -> int:
    raise FormatError("not a number", path=words[0], line=3)


@pytest.mark.parametrize(
    ("function", "code", "sentence"),
    [
        (refuse_config, ExitCode.BAD_CONFIG, "python -m models_rm tool: no such thing\n"),
        (refuse_data, ExitCode.BAD_DATA, "python -m models_rm tool: a.csv:3: not a number\n"),
    ],
)
def test_a_tool_ends_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    function: object,
    code: int,
    sentence: str,
) -> None:
    monkeypatch.setitem(door.TOOLS, "tool", door.Command("x:y", "for this test"))
    monkeypatch.setattr(door, "imported", lambda _name: function)
    assert door.main(["tool", "a.csv"]) == code
    assert capsys.readouterr().err == sentence
