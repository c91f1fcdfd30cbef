"""The card of an adapter: what it says, and that its three lines load it in plain diffusers."""

import json
import re
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from formats.checkpoints import verify_folder
from formats.supervised import Supervised
from models_align.adapters import adapter_weights, load_adapter
from models_align.cards import METHODS, completed, markdown
from models_align.config import SETTINGS, AlignmentConfig, ConfigError
from models_align.training import train

pytestmark = pytest.mark.one_engine


def front_matter(text: str) -> dict[str, Any]:
    """Every line is a key and a JSON value, which YAML reads the same way."""
    head = text.split("---\n")[1]
    return {
        key: json.loads(value) for key, value in (row.split(": ", 1) for row in head.splitlines())
    }


def code(text: str) -> str:
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_every_method_has_a_name_and_a_source():
    assert set(METHODS) == set(SETTINGS)
    assert all("arXiv" in source for _, source in METHODS.values())


def test_the_card_of_a_run_loads_its_adapter_in_three_lines_of_diffusers(
    alignment_run, tiny_wan, monkeypatch
):
    run = alignment_run("run", {"name": "Mine", "steps": 2, "licence": "apache-2.0"})
    train(Supervised(run))
    folder = run.outputs / "adapter"
    verify_folder(folder)
    text = (folder / "README.md").read_text(encoding="utf-8")
    told = front_matter(text)
    assert told["library_name"] == "diffusers"
    assert told["license"] == "apache-2.0"
    assert told["pipeline_tag"] == "text-to-video"
    assert {"lora", "flow-dpo", "text-to-video"} <= set(told["tags"])
    assert told["base_model_relation"] == "adapter"
    assert "# Mine: a LoRA adapter for" in text
    assert "4 pairs (4 by rewards) of 2 prompts, 8 clips; the median gap is 2.5." in text
    assert "arXiv 2501.13918" in text
    assert "| `settings.beta` | 500 |" in text
    assert "No alarm was raised" in text
    assert "No licence is stated" not in text

    lines = code(text)
    # Three lines, and before them what no base of the hub needs: this one has classes of its own.
    *imports, first, second, third = lines.splitlines()
    assert imports == [
        "import models_align.generators.dct_vae  # classes of this base",
        "import models_align.generators.tiny_wan  # classes of this base",
    ]
    assert first == "from diffusers import DiffusionPipeline"
    assert second.startswith("pipeline = DiffusionPipeline.from_pretrained(")
    assert third == 'pipeline.load_lora_weights(".")'
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(lines, names)
    pipeline = names["pipeline"]
    assert isinstance(pipeline, DiffusionPipeline)
    card = load_adapter(tiny_wan, folder)
    assert card["data"]["prompts"] == 2
    ours = adapter_weights(tiny_wan)
    theirs = dict(pipeline.transformer.named_parameters())
    for name, value in ours.items():
        head, _, tail = name.removeprefix("transformer.").rpartition(".")
        assert torch.equal(theirs[f"{head}.default_0.{tail}"], value)


def test_what_a_card_does_not_say_is_left_out_and_two_networks_take_four_lines():
    card = {"base": "org/video@0123", "networks": {"transformer": {}, "transformer_2": {}}}
    text = markdown(completed(card))
    assert front_matter(text)["base_model"] == "org/video"
    assert code(text).splitlines()[1:] == [
        'pipeline = DiffusionPipeline.from_pretrained("org/video", revision="0123")',
        'pipeline.load_lora_weights(".")',
        'pipeline.load_lora_weights("transformer_2", load_into_transformer_2=True)',
    ]
    assert "Settings" not in text
    assert "alarm" not in text
    assert "No licence is stated" in text


def test_alarms_stand_on_the_card_and_gapo_says_what_is_ours():
    card = {
        "base": "org/video",
        "networks": {"transformer": {}},
        "method": "gapo",
        "process": "rectified_flow",
        "alarms": ["motion at step 3: it moves less. Take fewer steps."],
        "stopped_by": "motion",
        "config": {"settings": {"alpha": 2.0}, "name": ""},
        "last": {"loss": 0.5},
    }
    text = markdown(completed(card))
    assert "here on Flow-DPO, which is an extension of it" in text
    assert "- Training was ended by the alarm motion; this is the last good checkpoint." in text
    assert "- motion at step 3: it moves less." in text
    assert "which is an extension" not in markdown(completed({**card, "process": "v_prediction"}))


def test_a_licence_is_a_name():
    assert AlignmentConfig.from_json({"licence": "cc-by-4.0"}).licence == "cc-by-4.0"
    with pytest.raises(ConfigError, match="licence must be a name of the hub"):
        AlignmentConfig(licence="do what\nyou like")
