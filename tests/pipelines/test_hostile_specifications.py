"""A specification of a run cannot become a command (RELIABILITY S8)."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from annotation.models import AuditEntry
from pipelines import kinds, launching
from pipelines.models import Artifact, BaseModel, Run, RunState

pytestmark = pytest.mark.one_engine
OWNED = Path("/tmp/tiebreak-owned")  # what a command inside a specification would leave
HUGE = 10**400


def nested(depth: int) -> str:
    return '{"theta":' * depth + "5" + "}" * depth


def config(**values: Any) -> dict[str, Any]:
    return {"config": values}


# What stands in the body beside kind and inputs, or the whole body as text.
HOSTILE: dict[str, Any] = {
    "a flag for a key": config(**{"--flag": 1}),
    "a flag for a value": config(loss="--config=/etc/passwd"),
    "a command substitution": config(loss=f"$(touch {OWNED})"),
    "backticks": config(loss=f"`touch {OWNED}`"),
    "a semicolon": config(loss=f"btt; touch {OWNED};"),
    "a pipe": config(loss=f"btt | touch {OWNED}"),
    "a newline": config(loss=f"btt\ntouch {OWNED}"),
    "NUL": config(loss="btt\0"),
    "up a folder": config(language="../../full"),
    "up a folder as a key": config(**{"../x": 1}),
    "an absolute path": config(backbone="/etc/passwd"),
    "an absolute path as a key": config(**{"/etc/passwd": 1}),
    "an address": config(backbone="http://169.254.169.254/latest"),
    "a file address": config(backbone="file:///etc/passwd"),
    "a key that nobody knows": config(tehta=5.0),
    "remote code": config(trust_remote_code=True),
    "remote code inside": config(model={"trust_remote_code": True}),
    "an attribute of Python": config(__class__="os.system"),
    "a module to import": config(optimizer="os.system"),
    "a huge number": config(steps=HUGE),
    "a huge number for theta": config(theta=HUGE),
    "a negative number": config(steps=-1),
    "not a number": '{"kind": "reward_model", "config": {"theta": NaN}}',
    "infinity": '{"kind": "reward_model", "config": {"theta": Infinity}}',
    "a float beyond all": '{"kind": "reward_model", "config": {"theta": 1e999}}',
    "nested a hundred deep": f'{{"kind": "reward_model", "config": {nested(100)}}}',
    "nested without end": f'{{"kind": "reward_model", "config": {nested(200_000)}}}',
    "the schema of the file": config(schema="config/1"),
    "processes that are a command": config(processes=f"2; touch {OWNED}"),
    "processes without number": config(processes=True),
    "a very long text": config(loss="x" * 300_000),
    "a list for a config": {"config": ["--flag"]},
    "a text for a config": {"config": "--flag"},
    "an argv beside": {"argv": ["sh", "-c", f"touch {OWNED}"]},
    "a command beside": {"command": f"touch {OWNED}"},
    "an environment beside": {"environment": {"LD_PRELOAD": "/tmp/x.so"}},
    "a queue beside": {"queue": "gpu"},
    "a kind that is a command": {"kind": f"reward_model; touch {OWNED}"},
    "a kind that is a path": {"kind": "../../manage.py"},
    "an input that is a path": {"inputs": {"snapshot": "/etc/passwd"}},
    "an input that names a file": {"inputs": {"snapshot": {"path": "/etc/passwd"}}},
    "an input by address": {"inputs": {"backbone": {"base_model": "http://x.invalid"}}},
    "an input of a table": {"inputs": {"snapshot": {"user": 1}}},
    "an input nobody takes": {"inputs": {"--flag": {"artifact": 1}}},
    "a preset that is a path": {"preset": "../../full"},
    "needs that are a command": {"needs": {"$(id)": 1}},
    "not even an object": "[1, 2]",
    "not even JSON": f"kind=reward_model&config=$(touch {OWNED})",
}


@pytest.fixture
def inputs(db: None) -> dict[str, Any]:
    run = Run.objects.create(kind="snapshot", config={}, config_sha="", state=RunState.SUCCEEDED)
    snapshot = Artifact.objects.create(kind="snapshot", run=run, path=f"{run.pk}/x", sha256="0")
    backbone = BaseModel.objects.create(name="tiny", role="vlm", source="/models/tiny")
    return {"snapshot": {"artifact": snapshot.pk}, "backbone": {"base_model": backbone.pk}}


@pytest.fixture
def engineer(mia: Any) -> Client:
    client = Client()
    client.force_login(mia)
    return client


def sent(engineer: Client, inputs: dict[str, Any], case: Any) -> Any:
    body = case
    if isinstance(case, dict):
        asked = {"kind": "reward_model", "config": {}, **case}
        body = json.dumps({**asked, "inputs": {**inputs, **case.get("inputs", {})}})
    return engineer.post("/api/runs", body, content_type="application/json")


@pytest.mark.promise("S8")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_specification_is_refused_in_a_sentence(
    engineer: Client, inputs: dict[str, Any], name: str
) -> None:
    before = Run.objects.count()
    answer = sent(engineer, inputs, HOSTILE[name])
    assert answer.status_code in {400, 422}, answer.content[:300]
    said = answer.json()["error"]
    assert said
    assert "\n" not in said
    assert len(said) < 1000
    assert Run.objects.count() == before
    assert not OWNED.exists()


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 40


@pytest.mark.promise("S8")
@pytest.mark.parametrize("text", [f"--x; touch {OWNED}", "$(id)", "../../x", "a\nb", "%s{0}"])
def test_what_is_started_is_a_fixed_template_whatever_a_run_is_called(
    engineer: Client, inputs: dict[str, Any], text: str, settings: Any
) -> None:
    answer = sent(engineer, inputs, {"name": text, "config": {"theta": 5.0, "steps": 1}})
    assert answer.status_code == 201, answer.content
    run = Run.objects.get(pk=answer.json()["id"])
    assert run.name == text
    words = launching.command_line(kinds.get(run.kind), run)
    folder = str(Path(settings.RUNS_ROOT).absolute() / str(run.pk))
    assert words == [sys.executable, "-I", "-m", "models_rm", "train", folder]


def test_every_start_is_in_the_audit_log(engineer: Client, inputs: dict[str, Any]) -> None:
    sent(engineer, inputs, {"config": {"theta": 5.0}})
    sent(engineer, inputs, {"config": {"theta": 0}})
    acts = list(AuditEntry.objects.filter(act__regex="run|refused").values_list("act", "details"))
    started = ("run.start", {"kind": "reward_model"})
    assert acts == [("act.refused", {"of": "run.start", "status": 422}), started, started]
