"""What a run shows while it trains, and when it raises an alarm. Standard library only."""

from dataclasses import dataclass
from typing import Final

from models_align.checked import Checked, require

DISPLACEMENT: Final = "displacement"
SATURATION: Final = "saturation"
MOTION: Final = "motion"
DIVERSITY: Final = "diversity"
HACKING: Final = "hacking"
# In the order of pages. The last three are seen on clips of held-out prompts alone.
ALARMS: Final = (DISPLACEMENT, SATURATION, MOTION, DIVERSITY, HACKING)
OF_CLIPS: Final = (MOTION, DIVERSITY, HACKING)


@dataclass(frozen=True, slots=True)
class WatchSettings(Checked):
    """How held-out prompts are sampled while a run trains. It looks where it has `watch_prompts`.

    Every look makes the same clips from the same noise: prompts x clips_per_prompt of them. The
    first look, before the first step, is the base. 0 stands for: a tenth of the steps (`every`), no
    limit (`prompts`), the generator's own (`shift`), and what the pairs' clips have (`height`,
    `width`, `num_frames`, `fps`).
    """

    every: int = 0  # steps between looks
    prompts: int = 8  # of those given, the first ones
    clips_per_prompt: int = 2  # diversity is the spread among them
    seed: int = 0
    steps: int = 30  # of the sampler
    guidance_scale: float = 5.0
    negative_prompt: str = ""
    shift: float = 0.0
    height: int = 0
    width: int = 0
    num_frames: int = 0
    fps: int = 0
    batch: int = 1

    def __post_init__(self) -> None:
        for name in ("every", "prompts", "seed", "height", "width", "num_frames", "fps"):
            require(getattr(self, name) >= 0, name, "0 or more", getattr(self, name))
        for name in ("clips_per_prompt", "steps", "batch"):
            require(getattr(self, name) >= 1, name, "1 or more", getattr(self, name))
        require(self.guidance_scale >= 0, "guidance_scale", "0 or more", self.guidance_scale)
        require(self.shift >= 0, "shift", "0 (native) or above", self.shift)


@dataclass(frozen=True, slots=True)
class AlarmSettings(Checked):
    """Thresholds (ML.md 4.2). Logs are counted in `log_every`, looks in `watch.every`."""

    displacement_logs: int = 20  # in a row with the winners' error above its reference
    saturation_z: float = 20.0
    saturation_accuracy: float = 0.95
    saturation_early: float = 0.25  # share of the steps in which such an accuracy is too early
    saturation_logs: int = 5  # in a row, of either
    motion_fall: float = 0.2  # share of the base's motion amount
    diversity_fall: float = 0.3  # share of the base's spread between seeds
    hacking_fall: float = 0.1  # of the independent judge, in its standard deviations

    def __post_init__(self) -> None:
        for name in ("displacement_logs", "saturation_logs"):
            require(getattr(self, name) >= 1, name, "1 or more", getattr(self, name))
        require(self.saturation_z > 0, "saturation_z", "above 0", self.saturation_z)
        for name in ("saturation_accuracy", "saturation_early", "motion_fall", "diversity_fall"):
            require(0 < getattr(self, name) <= 1, name, "in (0, 1]", getattr(self, name))
        require(self.hacking_fall >= 0, "hacking_fall", "0 or more", self.hacking_fall)
