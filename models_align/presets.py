"""Named configs of alignment runs, each with its source. Standard library only: the web reads this.

A preset is a start, not a mode: what it gives is a whole config, and every entry can be changed.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from models_align.config import AlignmentConfig, ConfigError

_VIDEOALIGN: Final = "Improving Video Generation with Human Feedback, arXiv 2501.13918"
_GAPO: Final = "Aligning Anime Video Generation with Human Feedback, arXiv 2504.10044"
_SDPO: Final = "Diffusion-SDPO, arXiv 2511.03317"
_STEPS: Final = "The paper takes one epoch: set steps to the number of pairs over pairs_per_step."


@dataclass(frozen=True, slots=True)
class Preset:
    """`changes` are entries of `AlignmentConfig`; the others have their defaults."""

    name: str
    title: str
    source: str
    note: str
    changes: Mapping[str, Any]

    def config(self) -> AlignmentConfig:
        return AlignmentConfig.from_json(self.changes)


# Table 10, the same for every method of the paper but for what the method itself sets. One pair at
# a time in bfloat16 is ours, so that it fits one GPU; the paper had 16.
_TABLE_10: Final[dict[str, Any]] = {
    "lora": {"r": 64, "alpha": 128.0, "dropout": 0.0},
    "timesteps": {"distribution": "uniform"},
    "lr": 5e-6, "pairs_per_step": 64,
    "micro_pairs": 1, "precision": "bfloat16", "gradient_checkpointing": True,
}  # fmt: skip

_TINY: Final[dict[str, Any]] = {
    "lora": {"r": 16, "alpha": 16.0},
    "timesteps": {"distribution": "uniform"},
    "lr": 5e-4, "warmup_steps": 5, "steps": 40, "pairs_per_step": 16, "save_every": 20,
}  # fmt: skip

_ALL: Final = (
    Preset(
        "flow-dpo",
        "Flow-DPO with a constant beta",
        f"{_VIDEOALIGN}, equation 6 and table 10",
        _STEPS,
        {**_TABLE_10, "method": "flow_dpo", "settings": {"beta": 500.0}},
    ),
    Preset(
        "flow-dpo-schedule",
        "Flow-DPO with the derived schedule of beta",
        f"{_VIDEOALIGN}, appendix C and table 3",
        f"The paper finds that it hacks the reward: for comparison. {_STEPS}",
        {
            **_TABLE_10,
            "method": "flow_dpo",
            "settings": {"beta": 500.0, "beta_schedule": "squared"},
        },
    ),
    Preset(
        "flow-rwr",
        "Flow-RWR: flow matching weighted by reward",
        f"{_VIDEOALIGN}, equation 9 and table 10",
        "Normalised within a prompt and cut at 5, which the paper does not do. Rewards of pairs are"
        " shares of clips from 0 to 1, with a deviation of 0.29: at that temperature they weigh as"
        f" the paper's rewards with a deviation of 1. {_STEPS}",
        {**_TABLE_10, "method": "rwr", "settings": {"temperature": 0.29, "max_weight": 5.0}},
    ),
    Preset(
        "sft",
        "Supervised fine-tuning on the chosen clips",
        f"{_VIDEOALIGN}, baseline of table 3, settings of table 10",
        _STEPS,
        {**_TABLE_10, "method": "sft"},
    ),
    Preset(
        "gapo-anisora",
        "GAPO as published, for v-prediction (CogVideoX)",
        f"{_GAPO}, section 3.4, and the released code",
        "Best against worst of four clips a prompt, 2,000 pairs. We found neither rate nor batch in"
        " it: they are those of VideoAlign, as is LoRA in the place of a second copy of the model.",
        {
            **_TABLE_10,
            "method": "gapo",
            "settings": {"beta": 5000.0, "alpha": 2.0, "normalise_gap": False},
            "caption_dropout": 0.05,
            "steps": 2000,
        },
    ),
    Preset(
        "gapo-flow-dpo",
        "GAPO on Flow-DPO",
        f"{_GAPO}, section 3.4, on {_VIDEOALIGN}, equation 6: our extension",
        "The factor has mean 1 over the pairs, so that rate and beta keep their sense.",
        {
            **_TABLE_10,
            "method": "gapo",
            "settings": {"beta": 500.0, "alpha": 2.0, "normalise_gap": True},
        },
    ),
    Preset(
        "safe-dpo",
        "Loser-safe Flow-DPO: the chosen clips never get worse",
        f"{_SDPO}, equations 15 to 17, on {_VIDEOALIGN}, equation 6; the brake is ours",
        "For long trainings: where Flow-DPO leaves the winners, this one stays.",
        {**_TABLE_10, "method": "safe_dpo", "settings": {"beta": 500.0}},
    ),
    Preset(
        "tiny",
        "Tiny: the demo world on two CPU cores",
        "the demo of this project (demo/presets)",
        "Flow-DPO for generators of about a million parameters that the demo pretrains.",
        {**_TINY, "method": "flow_dpo", "settings": {"beta": 100.0}},
    ),
)

PRESETS: Final[Mapping[str, Preset]] = {each.name: each for each in _ALL}


def preset(name: str) -> Preset:
    """ConfigError with the nearest name for one that is not there."""
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(PRESETS)}"
    raise ConfigError(f"there is no preset {name!r}; {hint}")
