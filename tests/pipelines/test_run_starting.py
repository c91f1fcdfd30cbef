"""Whether a run could work is asked before a row is written; a refusal is one sentence."""

import json
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from formats.records import PromptRecord
from pipelines import launching, starting
from pipelines.errors import InvalidRunConfig
from pipelines.management.commands import start_run as start_run_command
from pipelines.models import Artifact, BaseModel, Run, RunEvent, RunInput, RunState
from pipelines.starting import start_run

PROMPTS = [PromptRecord("p1", "a red square"), PromptRecord("p2", "ein blauer Kreis")]


def deep(levels: int) -> Any:
    return {"theta": deep(levels - 1)} if levels else 5.0


def too_deep() -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(100_000):
        value = {"theta": value}
    return value


HOSTILE: list[Any] = [
    {"tehta": 5.0},
    {"theta": 1.0},
    {"theta": 0},
    {"theta": -5},
    {"theta": float("nan")},
    {"theta": float("inf")},
    {"theta": "5"},
    {"theta": [5]},
    {"theta": None},
    {"theta": {"VQ": 1.0}},
    {"theta": 10**400},
    {"loss": "$(touch /tmp/owned)"},
    {"loss": "btt; rm -rf /"},
    {"loss": None},
    {"loss": ["btt"]},
    {"steps": 0},
    {"steps": -1},
    {"steps": 1.5},
    {"steps": "1000"},
    {"steps": True},
    {"--flag": 1},
    {"$(id)": 1},
    {";": 1},
    {"../x": 1},
    {"/etc/passwd": 1},
    {"http://example.invalid": 1},
    {"": 1},
    {1: 2},
    {"trust_remote_code": True},
    {"schema": "config/1"},
    {"backbone": "/etc/passwd"},
    {"seed": "0"},
    {"seed": -1},
    {"dtype": "float16"},
    {"lora_r": 0},
    {"language": "../../full"},
    {"theta": deep(100)},
    too_deep(),
    {"loss": "x" * 300_000},
    {"loss": b"btt"},
    ["theta"],
    "theta=5",
    None,
]


@pytest.fixture
def inputs(db: None) -> dict[str, Any]:
    """What a reward model needs."""
    run = Run.objects.create(kind="snapshot", config={}, config_sha="", state=RunState.SUCCEEDED)
    snapshot = Artifact.objects.create(kind="snapshot", run=run, path=f"{run.pk}/x", sha256="0")
    backbone = BaseModel.objects.create(name="tiny", role="vlm", source="/models/tiny")
    return {"snapshot": snapshot, "backbone": backbone}


@pytest.mark.promise("S8")
@pytest.mark.parametrize("config", HOSTILE, ids=range(len(HOSTILE)))
def test_a_config_that_cannot_be_is_refused_and_nothing_is_written(
    inputs: dict[str, Any], config: Any
) -> None:
    before = Run.objects.count(), RunInput.objects.count(), RunEvent.objects.count()
    with pytest.raises(InvalidRunConfig) as refusal:
        start_run("reward_model", config, inputs, user=None)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) <= 600
    assert (Run.objects.count(), RunInput.objects.count(), RunEvent.objects.count()) == before


def test_a_refusal_names_the_key_and_the_value(inputs: dict[str, Any]) -> None:
    with pytest.raises(InvalidRunConfig, match="unknown key 'tehta'; did you mean 'theta'"):
        start_run("reward_model", {"tehta": 5}, inputs, user=None)
    with pytest.raises(InvalidRunConfig, match="theta must be above 1, got 1"):
        start_run("reward_model", {"theta": 1.0}, inputs, user=None)


def test_a_run_is_written_with_its_whole_config_its_hash_and_its_inputs(
    inputs: dict[str, Any], mia: Any
) -> None:
    run = start_run("reward_model", {"theta": 4}, inputs, user=mia, name="first")
    assert (run.state, run.queue, run.name, run.created_by) == ("queued", "gpu", "first", mia)
    assert run.config["theta"] == 4
    assert run.config["loss"] == "btt"
    again = start_run("reward_model", {"loss": "btt", "theta": 4}, inputs, user=mia)
    assert again.config_sha == run.config_sha
    other = start_run("reward_model", {"theta": 6}, inputs, user=mia)
    assert other.config_sha != run.config_sha
    roles = {row.role: row.artifact or row.base_model for row in run.inputs.all()}
    assert roles == inputs


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"snapshot": None}, "a reward_model run needs an input 'snapshot'"),
        ({"snapshto": "snapshot"}, "no input 'snapshto'; did you mean 'snapshot'?"),
        ({"snapshot": "backbone"}, "snapshot of a reward_model run must be snapshot, got the vlm"),
        ({"backbone": "snapshot"}, "must be base_model or base model .vlm., got artifact"),
        ({"backbone": "generator"}, "got the generator 'wan'"),
        ({"snapshot": "run"}, "which is a reward_model run"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_with_a_sentence(
    inputs: dict[str, Any], change: dict[str, str | None], sentence: str
) -> None:
    things = {
        **inputs,
        "generator": BaseModel.objects.create(name="wan", role="generator", source="/models/wan"),
        "run": Run.objects.create(kind="reward_model", config={}, config_sha=""),
    }
    given = dict(inputs)
    for role, name in change.items():
        if name is None:
            del given[role]
        else:
            given[role] = things[name]
    before = Run.objects.count()
    with pytest.raises(InvalidRunConfig, match=sentence):
        start_run("reward_model", {}, given, user=None)
    assert Run.objects.count() == before


def test_an_unknown_kind_is_refused_with_the_known_ones(db: None) -> None:
    with pytest.raises(InvalidRunConfig, match=r"no run kind 'rewardmodel'; there are: .*reward_m"):
        start_run("rewardmodel", {}, user=None)


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELLED])
def test_a_run_that_will_leave_nothing_is_no_input(queue_count: Any, state: RunState) -> None:
    producer = queue_count()
    Run.objects.filter(pk=producer.pk).update(state=state)
    producer.refresh_from_db()
    with pytest.raises(InvalidRunConfig, match=f"run {producer.pk} .counting. has {state}"):
        queue_count({"before": producer})


def test_records_become_a_hashed_file_of_the_run_directory(queue_count: Any, attempt: Any) -> None:
    run = start_run("counting", {"steps": 1}, user=None, files={"prompts": iter(PROMPTS)})
    after = attempt()
    assert (after.pk, after.state) == (run.pk, RunState.SUCCEEDED)
    path = launching.run_dir(run).input("prompts")
    assert PromptRecord.read(path) == PROMPTS
    path.write_text(path.read_text().replace("red", "green"))
    with pytest.raises(Exception, match="'prompts' has changed"):
        launching.run_dir(run).input("prompts")


@pytest.mark.parametrize(("role", "records"), [("prompts", []), ("before", PROMPTS)])
def test_records_that_no_role_takes_are_refused(
    queue_count: Any, role: str, records: list[PromptRecord]
) -> None:
    with pytest.raises(InvalidRunConfig):
        start_run("counting", {}, user=None, files={role: records})
    assert not Run.objects.exists()


def test_a_double_click_gives_the_same_run(
    queue_count: Any, mia: Any, lee: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start_run("counting", {}, user=mia, nonce="click")
    assert start_run("counting", {}, user=mia, nonce="click") == first
    assert start_run("counting", {}, user=lee, nonce="click") != first
    assert start_run("counting", {}, user=mia, nonce="clack") != first
    # Both clicks at the same moment: neither sees the other before it writes.
    monkeypatch.setattr(starting, "_twin", _blind_once(starting._twin))
    assert start_run("counting", {}, user=mia, nonce="click") == first
    assert Run.objects.count() == 3


def _blind_once(look: Any) -> Any:
    calls = []

    def twin(*arguments: Any) -> Any:
        calls.append(arguments)
        return None if len(calls) == 1 else look(*arguments)

    return twin


# The command.


def command(tmp_path: Path, *words: str, config: Any = None, kind: str = "counting") -> str:
    file = tmp_path / "config.json"
    file.write_text(config if isinstance(config, str) else json.dumps(config or {}))
    out = StringIO()
    call_command("start_run", kind, "--config", str(file), *words, stdout=out)
    return out.getvalue()


def test_the_command_queues_a_run_with_its_inputs(queue_count: Any, tmp_path: Path) -> None:
    producer = queue_count()
    prompts = tmp_path / "prompts.jsonl"
    PromptRecord.write(prompts, PROMPTS)
    words = ["--input", f"before=run:{producer.pk}", "--input", f"prompts=prompts:{prompts}"]
    said = command(tmp_path, *words, config={"steps": 3})
    run = Run.objects.latest("id")
    assert said == f"run {run.pk} (counting) is queued\n"
    assert run.config == {"steps": 3}
    assert {row.role for row in run.inputs.all()} == {"before", "prompts"}


@pytest.mark.parametrize(
    ("words", "config", "sentence"),
    [
        ([], "{", "config.json:1: not JSON"),
        ([], '["steps"]', "a config must be a JSON object, got list"),
        (["--input", "before"], {}, "--input must look like role=artifact:7, got 'before'"),
        (["--input", "before=artifact:99"], {}, "there is no artifact '99'"),
        (["--input", "before=base:none"], {}, "there is no base 'none'"),
        (["--input", "before=/etc/passwd"], {}, "not '/etc/passwd'"),
        (["--input", "prompts=prompts:/none.jsonl"], {}, "/none.jsonl: the file is missing"),
        (["--user", "nobody"], {}, "there is no user 'nobody'"),
    ],
)
def test_the_command_refuses_with_one_sentence_and_writes_nothing(
    queue_count: Any, tmp_path: Path, words: list[str], config: Any, sentence: str
) -> None:
    with pytest.raises(CommandError) as refusal:
        command(tmp_path, *words, config=config)
    assert sentence in str(refusal.value)
    assert refusal.value.returncode != 0
    assert not Run.objects.exists()


def test_the_command_follows_a_run_to_its_end(
    queue_count: Any, attempt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The run is worked on while the command sleeps between two looks.
    monkeypatch.setattr(start_run_command, "time", SimpleNamespace(sleep=lambda _: attempt()))
    said = command(tmp_path, "--wait", config={"steps": 2}).splitlines()
    run = Run.objects.get()
    assert said[-2:] == ["succeeded counting 2/2", f"run {run.pk} succeeded"]
    with pytest.raises(CommandError, match="failed: this counter cannot count so far"):
        command(tmp_path, "--wait", config={"fault": "bad_config", "at": 1})
