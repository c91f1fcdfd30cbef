"""Which parameter learns at which rate, and what weight decay leaves alone."""

from collections.abc import Callable
from typing import Any

from formats.dimensions import VIDEOALIGN
from models_rm.config import RewardModelConfig
from models_rm.reward_models.checkpoints import build_network
from models_rm.training.objective import optimizer_for


def test_each_part_has_its_rate_and_neither_theta_nor_the_usual_uncertainty_decays(
    small_vlm: Callable[[str], Any],
) -> None:
    config = RewardModelConfig(
        template="brief", language="full", vision="full", learn_theta=True, uncertainty=True,
        learning_rate=1e-3, vision_learning_rate=2e-3, head_learning_rate=3e-3,
        theta_learning_rate=4e-3, weight_decay=0.1,
    )  # fmt: skip
    network, _ = build_network(small_vlm("qwen2_vl").model, VIDEOALIGN, config)
    group_of = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in optimizer_for(network, config).param_groups
        for parameter in group["params"]
    }
    learning = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert len(group_of) == len(learning)
    expected = {
        "thetas.raw": (4e-3, 0.0), "spread_biases": (3e-3, 0.0), "spread_heads": (3e-3, 0.1),
        "heads": (3e-3, 0.1), "tokens": (3e-3, 0.1),
    }  # fmt: skip
    for name, parameter in learning.items():
        visual = name.startswith("backbone.visual.")
        of_backbone = (2e-3, 0.1) if visual else (1e-3, 0.1)
        assert group_of[id(parameter)] == expected.get(name, of_backbone), name
