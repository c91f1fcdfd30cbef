"""The whole card of an adapter: down to the votes, with what judges found; and the zip to take."""

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from formats.checkpoints import commit_folder, verify_folder
from formats.files import write_json
from formats.outcome import Outcome, Output, OutputKind
from formats.run_dir import RunDir
from pipelines.loops.chain import start_loop
from pipelines.models import Artifact, Run
from pipelines.registry import path_of
from tests.pipelines.loop_world import loop_config, make_campaign, play

pytestmark = pytest.mark.django_db

TRAINING = {
    "base": "org/video",
    "method": "flow_dpo",
    "method_name": "Flow-DPO",
    "config": {"lr": 1e-5, "licence": "apache-2.0"},
    "usage": ['pipeline.load_lora_weights(".")'],
    "limits": ["It moves the base."],
    "last": {"loss": 0.5},
}


def adapter_of(_run: Any, folder: RunDir) -> Outcome:
    """An adapter folder as the trainer leaves it: weights, two cards, hashes."""

    def fill(target: Path) -> None:
        (target / "pytorch_lora_weights.safetensors").write_bytes(b"weights")
        (target / "transformer_2").mkdir()
        (target / "transformer_2" / "pytorch_lora_weights.safetensors").write_bytes(b"more")
        write_json(target / "card.json", "adapter/1", TRAINING)
        (target / "README.md").write_text("---\nlibrary_name: diffusers\n---\n\n# Mine\n")

    sha256 = commit_folder(folder.outputs / "adapter", fill)
    return Outcome(0, outputs=(Output(OutputKind.ADAPTER, "outputs/adapter", sha256),))


@pytest.fixture
def adapter(mia: Any) -> Artifact:
    config = loop_config(alignments={"Flow-DPO": {}})
    group = start_loop(make_campaign(user=mia, pairs=8), config, mia)
    for run in group.runs.order_by("pk"):
        play(run, adapter_of) if run.kind == "alignment" else play(run)
    return Artifact.objects.get(run__group=group, kind="adapter")


def test_the_card_reaches_from_the_win_rates_down_to_the_votes(
    adapter: Artifact, lee: Any, mia: Any, alice: Any, tmp_path: Path
) -> None:
    client = Client()
    client.force_login(lee)
    page = client.get(f"/artifacts/{adapter.pk}/").content.decode()
    assert f"/artifacts/{adapter.pk}/adapter.zip" not in page
    assert "Model card, Markdown" in page
    assert "pipeline.load_lora_weights" in page
    assert "Against the base on held-out prompts, judge: truth" in page
    assert "Licence: apache-2.0" in page
    assert "Flow-DPO on tiny-wan." in page

    text = client.get(f"/artifacts/{adapter.pk}/card.md").content.decode()
    assert text.startswith("---\nlibrary_name: diffusers\n---\n\n# Mine\n\n## Against the base")
    assert "| reward (its training reward) | overall |" in text
    assert "| truth | overall |" in text
    assert "Amount of motion:" in text
    assert "8 pairs of 8 prompts, labels that were imported." in text
    for kind in ("snapshot", "reward_model", "generation", "scoring", "pairing", "alignment"):
        assert f"| {kind} |" in text

    card = client.get(f"/artifacts/{adapter.pk}/card.json").json()
    assert card["training"]["method"] == "flow_dpo"
    assert card["votes"][0]["campaign_name"] == "Demo world"
    kinds = [row["kind"] for row in card["lineage"]]
    assert (kinds[0], kinds[-1]) == ("snapshot", "alignment")
    (evaluation,) = card["evaluations"]
    assert {row["judge"] for row in evaluation["judges"]} == {"reward", "truth"}

    assert client.get(f"/artifacts/{adapter.pk}/adapter.zip").status_code == 403  # weights
    client.force_login(mia)
    assert f"/artifacts/{adapter.pk}/adapter.zip" in _page_of(client, adapter)
    body = b"".join(client.get(f"/artifacts/{adapter.pk}/adapter.zip").streaming_content)
    zipfile.ZipFile(BytesIO(body)).extractall(tmp_path)
    folder = tmp_path / f"adapter-{adapter.run_id}"
    meta = verify_folder(folder)
    assert meta["made_of"] == adapter.sha256
    assert (folder / "pytorch_lora_weights.safetensors").read_bytes() == b"weights"
    assert (folder / "transformer_2" / "pytorch_lora_weights.safetensors").is_file()
    assert (folder / "README.md").read_text() == text
    whole = json.loads((folder / "adapter_card.json").read_text())
    assert whole["schema"] == "adapter_card/1"
    assert whole["lineage"] == card["lineage"]

    stranger = Client()
    stranger.force_login(alice)
    for name in ("adapter.zip", "card.md", "card.json"):
        assert stranger.get(f"/artifacts/{adapter.pk}/{name}").status_code == 403

    (path_of(adapter) / "pytorch_lora_weights.safetensors").write_bytes(b"damaged")
    assert client.get(f"/artifacts/{adapter.pk}/adapter.zip").status_code == 404


def _page_of(client: Client, artifact: Artifact) -> str:
    return client.get(f"/artifacts/{artifact.pk}/").content.decode()


def test_an_adapter_from_before_cards_has_none_to_offer(mia: Any) -> None:
    run = Run.objects.create(kind="alignment", config={}, config_sha="", state="succeeded")
    adapter = Artifact.objects.create(kind="adapter", run=run, path=f"{run.pk}/adapter")
    commit_folder(path_of(adapter), lambda folder: write_json(folder / "x", "adapter/1", {}))
    client = Client()
    client.force_login(mia)
    assert "adapter.zip" not in client.get(f"/artifacts/{adapter.pk}/").content.decode()
    for name in ("adapter.zip", "card.md", "card.json"):
        assert client.get(f"/artifacts/{adapter.pk}/{name}").status_code == 404
