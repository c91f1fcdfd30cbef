"""The model card of a trained model: what it says, where it warns, and that both files agree."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from formats.dimensions import VIDEOALIGN
from formats.files import read_json
from formats.labels import Label
from formats.records import Opinion, PreferenceRecord
from formats.run_dir import RunDir
from formats.snapshot import Snapshot
from formats.supervised import supervise
from models_rm.reward_models.card_facts import Facts, ceilings_of, data_facts, limits, split_sha256
from models_rm.reward_models.cards import SCHEMA, card_of, markdown
from models_rm.training.run import train

KEYS = VIDEOALIGN.keys


def with_votes(records: list[PreferenceRecord]) -> list[PreferenceRecord]:
    """Three people on each pair; the third ties everything."""
    return [
        replace(
            row,
            votes=3,
            judgements=[
                Opinion(name, key, Label.TIE if name == "cat" else label)
                for name in ("ann", "ben", "cat")
                for key, label in row.labels.items()
            ],
        )
        for row in records
    ]


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """model.json of a model that was made up, as far as a card reads it."""
    figures = {"mean": dict.fromkeys(KEYS, 0.1), "std": dict.fromkeys(KEYS, 2.0)}
    return {
        "dimensions": VIDEOALIGN.to_json(),
        "theta": {"VQ": 5.0, "MQ": 4.25, "TA": 3.0},
        "config": {"loss": "btt", "steps": 7, "pairs_per_step": 4, "rope_mode": "mrope",
                   "template": "guideline"},
        "backbone": {"source": "Qwen/Qwen2-VL-2B-Instruct", "model_type": "qwen2_vl"},
        "template_sha256": "ab" * 32,
        "frame_rule": {"fps": 2.0, "min_frames": 4, "max_frames": 768, "min_pixels": 100,
                       "max_pixels": 900, "side_factor": 28, "name": "even_linspace"},
        "calibration": {"source": "validation", "clips": 12, **figures,
                        "threshold": {"VQ": 1.0, "MQ": None, "TA": 0.5}},
        "snapshot_sha256": "cd" * 32,
        "evaluation": {},
        "libraries": {"torch": "2.13.0"},
        "converted": {},
    }  # fmt: skip


def row(**changes: Any) -> dict[str, Any]:
    return {
        "pairs": 400, "decisive": 300, "accuracy_without_ties": 0.81,
        "accuracy_without_ties_interval": [0.77, 0.85], "accuracy_with_ties": 0.6,
        "accuracy_with_ties_fitted": 0.58, "accuracy_with_ties_fitted_interval": [0.55, 0.61],
        "baseline_always_tie": 0.25, "baseline_random": 1 / 3, "human_ceiling_with_ties": 0.7,
        "nll": 0.9, "brier": 0.5, **changes,
    }  # fmt: skip


def test_a_training_leaves_both_cards_with_data_figures_probes_and_limits(
    make_run: Callable[..., RunDir], records: list[PreferenceRecord]
) -> None:
    run = make_run(rows=with_votes(records))
    assert supervise(train, run) == 0
    folder = run.outputs / "reward_model"
    card = read_json(folder / "card.json", SCHEMA)
    assert card["data"]["pairs"] == {"train": 8, "validation": 2, "test": 2}
    assert (card["data"]["votes"], card["data"]["annotators"]) == (36, 3)
    test = card["evaluation"]["test"]["VQ"]
    # Pair 10 is decided by two of three, pair 11 a tie of all. Against the two others: on pair 10
    # ann and ben see a split, cat is half right with a tie; on pair 11 all three agree.
    assert test["human_ceiling_judgements"] == 4
    assert (test["human_ceiling_with_ties"], test["human_ceiling_without_ties"]) == (0.75, 0.5)
    assert test["details"]["reliability"]["tie"]["bins"]
    assert {each["name"] for each in card["probes"]} >= {"prompt_swap", "black_clip", "shortcuts"}
    statuses = {each["name"]: each["status"] for each in card["probes"]}
    assert statuses["prompt_swap"] == statuses["same_clip_twice"] == "passed"
    assert statuses["swapped_sides"] == "passed"
    assert statuses["shuffled_prompts"] == "not_applicable"
    # Bit for bit or within rounding: kernels of some processors sum in another order by length.
    said = card["probes"][0]["sentence"]
    assert re.fullmatch(
        r"With another prompt VQ, MQ stay the same, "
        r"(bit for bit|within \d(\.\d)?e-0[6-9] standard deviations)\.",
        said,
    )
    outcome = run.outcome()
    assert outcome is not None
    assert outcome.summary["probes"] == card["probes"]
    assert "details" not in outcome.summary["evaluation"]["test"]["VQ"]
    assert "details" not in json.dumps(read_json(folder / "model.json", "reward_model/1"))
    text = (folder / "README.md").read_text()
    for words in ("## Accuracy on the test prompts", "## Probes", "## Limits", "## Data",
                  "only 1 test pairs are decided", card["data"]["split_sha256"][:16]):  # fmt: skip
        assert words in text


def test_no_probes_are_asked_where_nobody_wants_them(make_run: Callable[..., RunDir]) -> None:
    run = make_run(probe_pairs=0, steps=1)
    assert supervise(train, run) == 0
    assert read_json(run.outputs / "reward_model/card.json", SCHEMA)["probes"] == []
    assert "None were asked." in (run.outputs / "reward_model/README.md").read_text()


def test_the_page_for_people_holds_the_figures_of_the_file(told: dict[str, Any]) -> None:
    probes = [{"name": "black_clip", "status": "failed", "sentence": "Black | is liked."}]
    facts = Facts(evaluation={"test": dict.fromkeys(KEYS, row())}, probes=probes)
    text = markdown(card_of(told, facts))
    assert "| VQ | 0.81 | 0.770 to 0.850 |" in text
    assert "| MQ | 4.25 | 0.1 | 2 | – |" in text
    assert "| black clip | **failed** | Black \\| is liked. |" in text
    assert "- Alarm: Black | is liked." in text
    assert "torch 2.13.0" in text


def test_limits_say_where_a_figure_proves_nothing(told: dict[str, Any]) -> None:
    weak = row(decisive=20, accuracy_without_ties_interval=[0.49, 0.7],
               accuracy_with_ties_fitted_interval=[0.2, 0.4])  # fmt: skip
    del weak["human_ceiling_with_ties"]
    facts = Facts(
        data={"generators": ["Kling", "Sora"]},
        evaluation={"test": {"VQ": row(), "MQ": weak, "TA": {"pairs": 0}}},
    )
    found = limits({**told, "calibration": {**told["calibration"], "source": "train"}}, facts)
    assert not [each for each in found if each.startswith("VQ")]
    assert [each for each in found if each.startswith(("MQ", "TA"))] == [
        "MQ: only 20 test pairs are decided; intervals are wide.",
        "MQ: not shown to be better than chance on decided pairs.",
        "MQ: with ties not shown to be better than always saying tie.",
        "MQ: no single votes in the snapshot, so the human ceiling is not known.",
        "TA: nobody judged a test pair, so nothing is known.",
    ]
    words = " ".join(found)
    assert "2 frames per second" in words
    assert "There were no validation prompts" in words
    assert "Kling, Sora" in words


def test_single_clips_that_people_scored_have_correlations_alone(told: dict[str, Any]) -> None:
    scored = {"pairs": 0, "scored_clips": 30, "spearman": 0.8}
    facts = Facts(evaluation={"test": dict.fromkeys(KEYS, scored)})
    text = markdown(card_of(told, facts))
    assert "| dimension | Spearman |" in text
    assert "| MQ | 0.8 |" in text
    assert "nothing is known" not in text


def test_a_model_that_nobody_examined_has_a_card_too(told: dict[str, Any]) -> None:
    content = card_of(told, Facts())
    text = markdown(content)
    assert "Accuracy" not in text
    assert content["data"] == {"snapshot_sha256": "cd" * 32}


def test_an_unsure_model_tells_how_its_deviations_were_calibrated(told: dict[str, Any]) -> None:
    assert "how sure" not in markdown(card_of(told, Facts()))
    sure = {
        **told["calibration"], "uncertainty": {"VQ": 1.25, "TA": 0.5}, "temperature": {"VQ": 0.75}
    }  # fmt: skip
    text = markdown(card_of({**told, "calibration": sure}, Facts()))
    assert "are multiplied by 1.25 for VQ, 0.5 for TA, and raw rewards meet theta" in text
    assert "divided by 0.75 for VQ: so" in text


def test_losses_by_dimension_are_named(told: dict[str, Any]) -> None:
    config = {**told["config"], "loss": {"VQ": "btt", "TA": "regression"}}
    text = markdown(card_of({**told, "config": config}, Facts()))
    assert "loss `btt` for VQ, `regression` for TA" in text


def test_the_split_has_an_address_that_order_does_not_change(
    records: list[PreferenceRecord],
) -> None:
    one = split_sha256(records)
    assert split_sha256(records[::-1]) == one
    assert split_sha256([*records[:-1], replace(records[-1], prompt="other")]) != one


def test_data_says_what_people_said(records: list[PreferenceRecord], tmp_path: Path) -> None:
    agreement = {"VQ": {"alpha": 0.41, "ac1": 0.5}}
    rows = [replace(records[0], labels={}), *records[1:]]
    facts = data_facts(Snapshot(VIDEOALIGN, rows, {"agreement": agreement}), KEYS)
    assert sum(facts["labels"]["VQ"].values()) == 12
    assert (facts["labels"]["VQ"]["none"], facts["annotators"]) == (1, 0)
    assert facts["agreement"] == agreement
    assert ceilings_of(records, KEYS, resamples=10, seed=0) == dict.fromkeys(KEYS)
