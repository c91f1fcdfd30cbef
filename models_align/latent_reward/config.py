"""What a run of kind `latent_reward` is asked to do. Standard library only: the web reads this.

Defaults are those of VideoAlign (arXiv 2501.13918, table 11) where it names a value.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from models_align.checked import Checked, ConfigError, require
from models_align.config import LoraSettings, TimestepSettings, native_timesteps


@dataclass(frozen=True, slots=True)
class LatentRewardConfig(Checked):
    """A latent reward model: the first blocks of a generator and a head per dimension.

    `noise`: `shared` adds the same noise at the same t to both clips of a pair; `none` trains on
    clean latents, which is there to be compared with (table 7 of the paper). `timesteps` is how t
    is drawn; by default as the generator's own training drew it.
    """

    KIND: ClassVar[str] = "latent_reward"

    # What is learned
    loss: Literal["bt", "btt"] = "bt"
    theta: float | dict[str, float] = 5.0  # of btt: one for all, or per dimension; above 1
    noise: Literal["shared", "none"] = "shared"
    timesteps: TimestepSettings = field(default_factory=native_timesteps)
    dimensions: tuple[str, ...] = ()  # train these alone; none means all of the labels

    # The network
    blocks: int = 0  # of the generator's transformer; 0 takes the first quarter
    trunk: Literal["full", "lora", "frozen"] = "full"  # what of these blocks learns
    lora: LoraSettings = field(default_factory=LoraSettings)
    pooling: Literal["attention", "mean"] = "attention"

    # Optimiser
    steps: int = 1000
    pairs_per_step: int = 144
    accumulation: int = 1  # parts of a step; divides pairs_per_step
    lr: float = 5e-6
    head_lr: float = 5e-6
    warmup_steps: int = 0
    schedule: Literal["constant", "linear"] = "constant"  # linear: down to 0 in the second half
    max_grad_norm: float = 1.0
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the blocks; rewards are float32

    # Clips that people judged have many sizes; 0 leaves them, and then all must be alike
    num_frames: int = 0
    height: int = 0
    width: int = 0

    # Examining
    evaluate_at: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)
    eval_every: int = 100
    eval_pairs: int = 512  # at most so many validation pairs while training; the end uses all
    patience: int = 0  # stop after this many examinations without a better loss; 0 never stops
    keep: Literal["best", "last"] = "best"  # weights: of the best validation loss, or the last
    bootstrap: int = 1000  # resamples of the prompt-clustered intervals

    # Bookkeeping
    name: str = ""
    seed: int = 0
    threads: int = 1
    log_every: int = 10
    save_every: int = 200
    cache_mib: int = 2048  # latents and text embeddings kept in memory

    def __post_init__(self) -> None:
        ones = ("steps", "pairs_per_step", "accumulation", "eval_every", "eval_pairs", "threads",
                "log_every", "save_every", "cache_mib")  # fmt: skip
        for name in ones:
            require(getattr(self, name) >= 1, name, "1 or more", getattr(self, name))
        zeros = ("blocks", "warmup_steps", "num_frames", "height", "width", "patience", "bootstrap",
                 "seed")  # fmt: skip
        for name in zeros:
            require(getattr(self, name) >= 0, name, "0 or more", getattr(self, name))
        for name in ("lr", "head_lr", "max_grad_norm"):
            require(getattr(self, name) > 0, name, "above 0", getattr(self, name))
        self._check_lists()
        self._check_fit()

    def _check_lists(self) -> None:
        thetas = self.theta if isinstance(self.theta, dict) else {"all": self.theta}
        for key, value in thetas.items():
            require(value > 1, f"theta of {key}", "above 1", value)
        require(self.evaluate_at, "evaluate_at", "a list of at least one t", self.evaluate_at)
        for t in self.evaluate_at:
            require(0 <= t <= 1, "each of evaluate_at", "in [0, 1]", t)
        for name in ("dimensions", "evaluate_at"):
            values = getattr(self, name)
            require(len(set(values)) == len(values), name, "without repetition", values)

    def _check_fit(self) -> None:
        fits = self.pairs_per_step % self.accumulation == 0
        require(fits, "accumulation", "a divisor of pairs_per_step", self.accumulation)
        sides = (self.height, self.width)
        require(all(sides) or not any(sides), "height and width", "given both or not at all", sides)

    def theta_of(self, keys: tuple[str, ...]) -> list[float]:
        """Theta per dimension, in the order of `keys`; a dimension without one is an error."""
        if not isinstance(self.theta, dict):
            return [self.theta] * len(keys)
        if set(keys) != set(self.theta):
            raise ConfigError(
                f"theta must name exactly the dimensions {', '.join(keys)}; "
                f"got {', '.join(sorted(self.theta)) or 'none'}"
            )
        return [self.theta[key] for key in keys]
