"""A released reward model is converted by a run: what is missing is said before it is queued."""

from pathlib import Path
from typing import Any

import pytest

from formats.outcome import OutputKind
from pipelines import kinds
from pipelines.errors import InvalidRunConfig
from pipelines.models import BaseModel, Run
from pipelines.starting import start_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def backbone() -> BaseModel:
    return BaseModel.objects.create(name="Qwen", role="vlm", source="/models/qwen")


@pytest.fixture
def folder(settings: Any) -> Path:
    place = Path(settings.MEDIA_ROOT) / "incoming" / "videoreward"
    place.mkdir(parents=True)
    (place / "model_config.json").write_text("{}")
    (place / "prompt_template.py").write_text("")
    return place


def start(backbone: BaseModel, **config: Any) -> Run:
    values = {"folder": "videoreward", **config}
    return start_run("conversion", values, {"backbone": backbone}, user=None)


def test_it_is_a_run_that_leaves_a_reward_model(backbone: BaseModel, folder: Path) -> None:
    run = start(backbone)
    assert run.config == {
        "folder": "videoreward", "template": "prompt_template.py", "step": None,
        "embed_backbone": False,
    }  # fmt: skip
    assert kinds.get("conversion").output is OutputKind.REWARD_MODEL


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"folder": "gone"}, "incoming/gone holds no released reward model"),
        ({"folder": "../.."}, "must lie below the folder for imports"),
        ({"folder": "a\0b"}, "must lie below the folder for imports"),
        ({"template": "other.txt"}, "incoming/videoreward holds no file 'other.txt'"),
        ({"template": "../elsewhere.py"}, "incoming/videoreward holds no file"),
        ({"template": "../../../etc/passwd"}, "must lie below the folder for imports"),
        ({"step": -1}, "step must be a whole number, at least 0"),
        ({"setp": 1}, "unknown key 'setp'; did you mean 'step'"),
    ],
)
def test_what_is_not_there_or_lies_elsewhere_is_refused(
    backbone: BaseModel, folder: Path, config: dict[str, Any], sentence: str
) -> None:
    (folder.parent / "elsewhere.py").touch()
    with pytest.raises(InvalidRunConfig, match=sentence):
        start(backbone, **config)
    assert not Run.objects.filter(kind="conversion").exists()
