"""Before a run starts: whether a worker is there, the place in the queue, memory and time."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from safetensors.numpy import save_file

from pipelines import forecasts, kinds, lifecycle
from pipelines.earlier_runs import base_of, earlier, size_of
from pipelines.memory_estimates import Estimate, estimate
from pipelines.models import BaseModel, Metric, Run, RunState, WorkerHeartbeat
from pipelines.starting import start_run
from pipelines.tensor_headers import tensors_in
from tests.pipelines.loop_world import make_campaign, play

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]

GB = 1_000_000_000


def _worker(queue: str = "gpu", *, slots: int = 1, **labels: Any) -> WorkerHeartbeat:
    found: WorkerHeartbeat = WorkerHeartbeat.objects.create(
        owner=f"h:{WorkerHeartbeat.objects.count()}:1", host="h", pid=1, queues=[queue],
        slots=slots, labels=labels, seen_at=timezone.now(),
    )  # fmt: skip
    return found


def _said(kind: str, config: Any = None, inputs: Any = None, **more: Any) -> dict[str, Any]:
    spec = kinds.get(kind)
    found = forecasts.forecast(spec, spec.check(config or {}), inputs or {}, **more)
    return {each.about: each for each in found}


def _ended(kind: str, seconds: float, *, total: int = 0, memory: float = 0, **row: Any) -> Run:
    """A run of this kind as it stands in the table when it has ended well."""
    now = timezone.now()
    run: Run = Run.objects.bulk_create(
        [
            Run(
                kind=kind, config_sha="0", state=RunState.SUCCEEDED, attempt=1, total=total,
                step=total, started_at=now - timedelta(seconds=seconds), finished_at=now,
                **{"config": kinds.get(kind).check({}), **row},
            )
        ]
    )[0]  # fmt: skip
    if memory:
        Metric.objects.create(run=run, name="memory_mb", step=1, value=memory, fence=1)
    return run


# Workers and the queue.


def test_without_a_worker_it_says_how_to_start_one() -> None:
    said = _said("reward_model")["worker"]
    assert said.verdict == "bad"
    assert "No worker is connected; start one with: python manage.py worker" in said.text


def test_a_worker_of_another_queue_does_not_count() -> None:
    _worker("default")
    assert "No connected worker serves the queue gpu" in _said("reward_model")["worker"].text


def test_a_worker_counts_where_its_labels_meet_the_needs() -> None:
    _worker(gpu_memory=24)
    assert _said("reward_model", needs={"gpu_memory": 20})["worker"].verdict == "good"
    said = _said("reward_model", needs={"gpu_memory": 40})["worker"]
    assert said.verdict == "bad"
    assert "has gpu_memory 40 or more" in said.text


def test_several_processes_need_a_worker_that_can_start_them() -> None:
    _worker(processes=1)
    assert _said("reward_model", {"processes": 2})["worker"].verdict == "bad"
    _worker(processes=2)
    assert _said("reward_model", {"processes": 2})["worker"].verdict == "good"


def test_the_place_in_the_queue_is_told(mia: Any) -> None:
    _worker("default")
    assert _said("snapshot", {"campaign": make_campaign(pairs=2).pk})["place"].verdict == "good"
    campaign = make_campaign(pairs=2, name="Second")
    for _ in range(2):
        start_run("snapshot", {"campaign": campaign.pk}, user=mia)
    assert lifecycle.claim(["default"], WorkerHeartbeat.objects.get().owner) is not None
    said = _said("snapshot", {"campaign": campaign.pk})["place"]
    assert said.text == "1 run before it in the queue default; 1 run at work on the workers for it."


def test_what_waits_for_another_run_says_for_which(mia: Any) -> None:
    snapshot = start_run("snapshot", {"campaign": make_campaign(pairs=2).pk}, user=mia)
    said = _said("export", {}, {"snapshot": snapshot})["place"]
    assert f"run {snapshot.pk} has left what it reads" in said.text


# Memory.


@pytest.fixture
def backbone(tmp_path: Path) -> BaseModel:
    """One decoder layer and one block of a tower, with sizes that can be counted by hand."""
    folder = tmp_path / "vlm"
    folder.mkdir()
    shapes = {
        "model.embed_tokens.weight": (100, 8),
        "model.layers.0.self_attn.q_proj.weight": (8, 8),
        "model.layers.0.mlp.gate_proj.weight": (16, 8),
        "visual.blocks.0.attn.qkv.weight": (12, 4),
    }
    weights = {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}
    save_file(weights, str(folder / "model.safetensors"))
    vision = {"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2}
    (folder / "config.json").write_text(json.dumps({"vision_config": vision}))
    found: BaseModel = BaseModel.objects.create(name="by hand", role="vlm", source=str(folder))
    return found


SMALL = {
    "lora_r": 2, "pairs_per_step": 4, "accumulation": 2, "min_pixels": 28 * 28,
    "max_pixels": 28 * 28, "fps": 2.0, "min_frames": 4, "max_frames": 4,
}  # fmt: skip


def test_memory_is_counted_from_config_and_weights(backbone: BaseModel) -> None:
    config = kinds.get("reward_model").check(SMALL)
    found = estimate("reward_model", config, {"backbone": backbone})
    assert found is not None
    # LoRA on q (2 * (8 + 8)) and gate (2 * (16 + 8)); the tower learns whole (48).
    assert found.learning == 12 * (32 + 48 + 48)
    assert found.weights == 4 * (800 + 64 + 128 + 48) + 4 * (32 + 48)
    # 4 clips a forward; 4 frames of 28 x 28 are 2 visual tokens, 8 patches, and 200 of text.
    text, vision = (8 + 16) * 202 * 4, 12 * 8 * 4
    assert found.activations == pytest.approx(4 / 3 * 4 * (text + vision), abs=1)


def test_half_precision_slices_and_checkpoints_are_counted(backbone: BaseModel) -> None:
    check = kinds.get("reward_model").check

    def counted(**more: Any) -> Estimate:
        found = estimate("reward_model", check({**SMALL, **more}), {"backbone": backbone})
        assert found is not None
        return found

    plain = counted()
    # What learns stays in full precision: the tower and the adapters.
    assert counted(dtype="bfloat16").weights == 2 * (800 + 64 + 128) + 4 * (48 + 32 + 48)
    assert counted(processes=2, sharding="fsdp").learning == plain.learning // 2
    assert counted(accumulation=4).activations == pytest.approx((plain.activations or 0) / 2, abs=1)
    kept, whole = counted(gradient_checkpointing=True).activations, plain.activations
    assert kept is not None
    assert whole is not None
    assert 0 < kept < 2 * whole


def test_what_fits_and_what_does_not_is_said(backbone: BaseModel) -> None:
    inputs = {"backbone": backbone}
    assert _said("reward_model", SMALL, inputs)["memory"].verdict == "unknown"
    worker = _worker(memory=16)
    said = _said("reward_model", SMALL, inputs)["memory"]
    assert said.verdict == "good"
    assert "About 0.6 GB by a count (weights 0 MB" in said.text
    assert "never measured" in said.text
    assert said.text.endswith("It fits: 16.0 GB of the machine.")
    WorkerHeartbeat.objects.filter(pk=worker.pk).update(labels={"memory": 0.5})
    said = _said("reward_model", SMALL, inputs)["memory"]
    assert said.verdict == "bad"
    assert "does not fit: the largest worker for it has 0.5 GB" in said.text


def test_what_was_measured_goes_before_what_is_counted(backbone: BaseModel) -> None:
    _worker(memory=16)
    config = kinds.get("reward_model").check(SMALL)
    run = _ended("reward_model", 60, memory=2500, config=config)
    run.inputs.create(role="backbone", base_model=backbone)
    said = _said("reward_model", {**SMALL, "steps": 5, "seed": 3}, {"backbone": backbone})["memory"]
    assert said.text.startswith(f"2.5 GB: so much took run {run.pk}")
    assert said.verdict == "good"


def test_what_earlier_runs_took_corrects_the_count(backbone: BaseModel) -> None:
    _worker(memory=16)
    inputs = {"backbone": backbone}
    config = kinds.get("reward_model").check(SMALL)
    before = estimate("reward_model", config, inputs)
    assert before is not None
    assert before.activations is not None
    # It took three times the activations that were counted.
    taken = before.fixed + 600_000_000 + 3 * before.activations
    run = _ended("reward_model", 60, memory=taken / 1e6, config=config)
    run.inputs.create(role="backbone", base_model=backbone)
    wider = {**SMALL, "pairs_per_step": 4000}
    counted = estimate("reward_model", kinds.get("reward_model").check(wider), inputs)
    assert counted is not None
    assert counted.activations is not None
    said = _said("reward_model", wider, inputs)["memory"].text
    expected = (counted.fixed + 600_000_000 + 3 * counted.activations) / GB
    assert f"About {expected:.1f} GB" in said
    assert "corrected by 1 earlier run" in said


def test_runs_from_before_an_entry_existed_still_tell(backbone: BaseModel) -> None:
    _worker(memory=16)
    old = kinds.get("reward_model").check(SMALL)
    del old["processes"], old["sharding"]
    run = _ended("reward_model", 60, memory=2500, total=10, config=old)
    run.inputs.create(role="backbone", base_model=backbone)
    said = _said("reward_model", SMALL, {"backbone": backbone})
    assert said["memory"].text.startswith(f"2.5 GB: so much took run {run.pk}")
    assert "steps of the same size" in said["time"].text
    wider = {**SMALL, "pairs_per_step": 4000}
    assert "corrected by" in _said("reward_model", wider, {"backbone": backbone})["memory"].text
    gone = _ended("reward_model", 60, memory=2500, config={"soup": True})
    assert gone.config == {"soup": True}  # refused today, and no fault of who asks
    assert "corrected by 1 " in _said("reward_model", wider, {"backbone": backbone})["memory"].text


def test_a_base_is_the_same_by_its_row_and_by_the_artifact_that_it_is(mia: Any) -> None:
    run = _ended("pretrain", 5, config={})
    left = run.artifacts.create(kind="base_model", path="x", sha256="0" * 64)
    row = BaseModel.objects.create(name="left", role="vlm", source="/x", artifact=left)
    assert base_of([left]) == base_of([row]) != base_of([])


def test_what_is_not_known_is_said_plainly(tmp_path: Path) -> None:
    assert "no run of this kind has told yet" in _said("pairing", {})["memory"].text
    elsewhere = BaseModel.objects.create(
        name="hub", role="vlm", source="Qwen/Qwen2-VL-2B-Instruct", revision="a" * 40
    )
    said = _said("reward_model", {}, {"backbone": elsewhere})["memory"]
    assert (said.verdict, said.text[:9]) == ("unknown", "Not known")


def test_a_generator_of_unknown_clips_says_at_least(tmp_path: Path) -> None:
    _worker(memory=16)
    (tmp_path / "transformer").mkdir()
    weights = {"blocks.0.attn1.to_q.weight": np.zeros((1000, 1000), dtype=np.float32)}
    save_file(weights, str(tmp_path / "transformer" / "x.safetensors"))
    base = BaseModel.objects.create(name="gen", role="generator", source=str(tmp_path))
    said = _said("alignment", {}, {"generator": base})["memory"]
    assert said.verdict == "unknown"
    assert said.text.startswith("At least 0.6 GB for weights and what learns.")


def test_of_a_gpu_its_own_figure_counts() -> None:
    _worker(gpu_memory=24, memory=64)
    run = _ended("pairing", 5, memory=50_000)
    Metric.objects.create(run=run, name="gpu_memory_mb", step=1, value=30_000, fence=1)
    _worker("default", gpu_memory=24, memory=64)
    said = _said("pairing")["memory"]
    assert said.verdict == "bad"
    assert "has 24.0 GB of a GPU" in said.text


def test_a_file_that_is_no_safetensors_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"\xff" * 100)
    assert tensors_in(tmp_path) == ()


# Time.


def test_time_follows_from_earlier_runs_with_steps_of_the_same_size() -> None:
    config = kinds.get("reward_model").check({"steps": 100})
    _ended("reward_model", 200, total=100, config=config)
    _ended("reward_model", 300, total=100, config=config)
    other = kinds.get("reward_model").check({"steps": 100, "pairs_per_step": 64})
    _ended("reward_model", 9000, total=100, config=other)
    said = _said("reward_model", {"steps": 1000, "seed": 5})["time"]
    # 2 and 3 seconds a step.
    assert said.text == (
        "About 41 min 40 s (33 min 20 s to 50 min), by 2 earlier runs with steps of the same size."
    )
    assert said.verdict == "good"


def test_other_settings_make_a_rough_guess() -> None:
    other = kinds.get("reward_model").check({"pairs_per_step": 64})
    _ended("reward_model", 60, total=10, config=other)
    said = _said("reward_model", {"steps": 20})["time"]
    assert said.text == (
        "About 2 min, by 1 earlier run of this kind with other settings: a rough guess."
    )


def test_a_disturbed_run_says_nothing_about_time() -> None:
    run = _ended("reward_model", 60, total=10)
    Run.objects.filter(pk=run.pk).update(attempt=2)
    assert _said("reward_model")["time"].text.startswith("Not known")


def test_clips_are_counted_before_they_are_made() -> None:
    config = kinds.get("generation").check({"clips_per_prompt": 2})
    _ended("generation", 60, total=30, config=config)
    said = _said("generation", {"clips_per_prompt": 2}, given={"prompts": 45})["time"]
    assert said.text.startswith("About 3 min,")


def test_a_loop_is_foretold_by_earlier_loops(mia: Any) -> None:
    from pipelines.loops.chain import start_loop
    from tests.pipelines.loop_world import loop_config, play_all

    assert {each.about: each.verdict for each in forecasts.of_loop()} == {
        "worker": "bad", "place": "good", "time": "unknown",
    }  # fmt: skip
    play_all(start_loop(make_campaign(user=mia), loop_config(), mia))
    assert "by 1 earlier loop" in forecasts.of_loop()[-1].text


def test_what_has_no_weight_does_not_change_the_size() -> None:
    check = kinds.get("reward_model").check
    assert size_of(check({"steps": 5, "seed": 1})) == size_of(check({"steps": 9, "seed": 2}))
    assert size_of(check({"pairs_per_step": 64})) != size_of(check({}))


def test_a_forecast_asks_a_fixed_number_of_queries(django_assert_max_num_queries: Any) -> None:
    for _ in range(12):
        _ended("pairing", 5, memory=100)
    with django_assert_max_num_queries(9):
        _said("pairing")
    assert len(earlier("pairing")) == 12


# Doors.


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def snapshot(mia: Any) -> Any:
    return play(start_run("snapshot", {"campaign": make_campaign(pairs=2).pk}, user=mia))


def test_the_form_says_it_before_anything_is_started(mia: Any) -> None:
    html = _as(mia).get("/admin/pipelines/run/add/?kind=reward_model").content.decode()
    assert "Before it starts" in html
    assert "No worker is connected" in html
    assert "js/forecast.js" in html


@pytest.mark.parametrize("query", ["", "?kind=comparison"])
def test_starts_of_several_runs_say_whether_every_queue_is_served(mia: Any, query: str) -> None:
    path = f"/admin/pipelines/loopgroup/add/{query}"
    assert "No connected worker serves: default" in _as(mia).get(path).content.decode()
    for queue in ("default", "io", "gpu"):
        _worker(queue)
    assert "3 workers; every queue is served." in _as(mia).get(path).content.decode()


def test_the_form_is_asked_as_it_is_filled_in(mia: Any, alice: Any, snapshot: Run) -> None:
    values = {
        "kind": "export",
        "config": '{"format": "trl"}',
        "snapshot": f"artifact:{snapshot.artifacts.get().pk}",
    }
    url = reverse("pipelines:forecast")
    before = Run.objects.count()
    said = _as(mia).post(url, values).json()["said"]
    assert [each["about"] for each in said] == ["worker", "place", "memory", "time"]
    bad = _as(mia).post(url, {**values, "config": '{"format": "excel"}'})
    assert bad.status_code == 422
    assert "format must be one of" in bad.json()["error"]
    assert _as(mia).post(url, {"kind": "magic"}).status_code == 422
    assert _as(alice).post(url, values).status_code == 403
    assert Run.objects.count() == before


def test_programs_ask_the_same(mia: Any, snapshot: Run) -> None:
    body = {"kind": "export", "inputs": {"snapshot": {"artifact": snapshot.artifacts.get().pk}}}
    answer = _as(mia).post("/api/forecast", body, content_type="application/json")
    assert answer.status_code == 200
    assert {each["verdict"] for each in answer.json()["said"]} <= {"good", "bad", "unknown"}
    bad = _as(mia).post("/api/forecast", {"kind": "magic"}, content_type="application/json")
    assert bad.status_code == 422
