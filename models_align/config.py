"""What an alignment run and a generation run are asked to do. Standard library only.

The web process reads this module to refuse a bad config before it is queued, so nothing here may
import torch. Every class is frozen, checks itself, and is written to config.json as it stands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, Self

from formats.chunks import chunk_fault
from models_align.checked import Checked, require
from models_align.checked import ConfigError as ConfigError
from models_align.watching.settings import ALARMS, AlarmSettings, WatchSettings

MAX_CLIPS_PER_PROMPT: Final = 1024


def _check_beta(beta: float) -> None:
    require(beta > 0, "beta", "above 0", beta)


BetaSchedule = Literal["constant", "squared"]


@dataclass(frozen=True, slots=True)
class SftSettings(Checked):
    """Supervised fine-tuning on the chosen clips has nothing of its own to set."""


@dataclass(frozen=True, slots=True)
class FlowDpoSettings(Checked):
    """`squared` is the derived schedule beta (1-t)^2; the paper finds reward hacking with it."""

    beta: float = 500.0  # VideoAlign (arXiv 2501.13918), Table 10
    beta_schedule: BetaSchedule = "constant"

    def __post_init__(self) -> None:
        _check_beta(self.beta)


@dataclass(frozen=True, slots=True)
class GapoSettings(Checked):
    """`normalise_gap` divides the factor by its mean over all pairs, so that lr keeps its sense."""

    beta: float = 500.0
    beta_schedule: BetaSchedule = "constant"
    alpha: float = 2.0  # GAPO (arXiv 2504.10044), section 3.4
    normalise_gap: bool = True

    def __post_init__(self) -> None:
        _check_beta(self.beta)
        require(self.alpha > 1, "alpha", "above 1", self.alpha)


@dataclass(frozen=True, slots=True)
class SafeDpoSettings(Checked):
    """Flow-DPO that spares the winner: see `models_align.methods.safe_dpo`.

    `caution` is mu of Diffusion-SDPO (arXiv 2511.03317), which uses 0.6 to 0.9; `hold` lets go of
    the loser while the winner's error is above its reference.
    """

    beta: float = 500.0
    beta_schedule: BetaSchedule = "constant"
    caution: float = 0.0
    hold: bool = True

    def __post_init__(self) -> None:
        _check_beta(self.beta)
        require(0 <= self.caution < 1, "caution", "in [0, 1)", self.caution)


@dataclass(frozen=True, slots=True)
class RwrSettings(Checked):
    """Weights exp(r / temperature), normalised to mean 1, then cut at `max_weight`.

    r is the reward of a pair, in [0, 1], by default the share of clips below it, whose deviation is
    1 / sqrt(12) = 0.29: at that temperature it weighs as a normalised reward does in VideoAlign
    (arXiv 2501.13918, equation 9). `within` says among whom: the clips of each prompt, or all
    clips, which then favours those of prompts on which the generator is good.
    """

    temperature: float = 0.29
    max_weight: float = 5.0
    within: Literal["prompt", "all"] = "prompt"

    def __post_init__(self) -> None:
        require(self.temperature > 0, "temperature", "above 0", self.temperature)
        require(self.max_weight >= 1, "max_weight", "1 or more", self.max_weight)


MethodSettings = SftSettings | FlowDpoSettings | GapoSettings | SafeDpoSettings | RwrSettings
SETTINGS: Final[dict[str, type[MethodSettings]]] = {
    "sft": SftSettings,
    "flow_dpo": FlowDpoSettings,
    "gapo": GapoSettings,
    "safe_dpo": SafeDpoSettings,
    "rwr": RwrSettings,
}


@dataclass(frozen=True, slots=True)
class LoraSettings(Checked):
    """Defaults: VideoAlign (arXiv 2501.13918), Table 10. Empty targets: the generator's own."""

    r: int = 64
    alpha: float = 128.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(1 <= self.r <= 1024, "r", "between 1 and 1024", self.r)
        require(self.alpha > 0, "alpha", "above 0", self.alpha)
        require(0 <= self.dropout < 1, "dropout", "in [0, 1)", self.dropout)


@dataclass(frozen=True, slots=True)
class TimestepSettings(Checked):
    """How t is drawn from (0, 1): uniform; logistic of a normal; uniform, then shifted to noise;
    as the generator's own training drew it (native).

    `shift` s maps u to s u / (1 + (s - 1) u), the map of the generator's own noise schedule; 0
    takes the generator's native shift.
    """

    distribution: Literal["uniform", "logit_normal", "shifted", "native"] = "uniform"
    logit_mean: float = 0.0
    logit_std: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        require(self.logit_std > 0, "logit_std", "above 0", self.logit_std)
        require(self.shift >= 0, "shift", "0 (native) or above", self.shift)


def native_timesteps() -> TimestepSettings:
    """As the generator was trained: a generator knows most where it was asked most (ML.md 4.2)."""
    return TimestepSettings("native")


@dataclass(frozen=True, slots=True)
class AlignmentConfig(Checked):
    """An alignment run: which method, with which settings, for how long.

    `settings` are those of the method (`SETTINGS`). `reduction` says over what a velocity error is
    reduced; it is stored because beta means nothing without it, and only `mean` exists (ML.md 4.2).
    """

    KIND: ClassVar[str] = "alignment"

    method: Literal["sft", "flow_dpo", "gapo", "safe_dpo", "rwr"] = "flow_dpo"
    settings: MethodSettings = field(default_factory=FlowDpoSettings)
    lora: LoraSettings = field(default_factory=LoraSettings)
    timesteps: TimestepSettings = field(default_factory=native_timesteps)
    lr: float = 5e-6  # VideoAlign (arXiv 2501.13918), Table 10
    warmup_steps: int = 0
    # Of lr; linear: down to 0 in the second half. Plain flow matching (SFT, RWR) wants an end.
    schedule: Literal["constant", "linear"] = "constant"
    max_grad_norm: float = 1.0
    steps: int = 1000
    pairs_per_step: int = 8
    start_noise: float = 0.0  # median share of noise on start images; CogVideoX and AniSora: 0.05
    caption_dropout: float = 0.0  # share of pairs trained on the empty prompt; AniSora uses 0.05
    reduction: Literal["mean"] = "mean"
    name: str = ""
    seed: int = 0
    threads: int = 1
    log_every: int = 1
    save_every: int = 100
    cache_mib: int = 2048  # latents and text embeddings kept in memory; the rest is read from files
    # The base is loaded in this type and computes in it; what is trained stays in float32.
    precision: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False  # activations are computed again: time for memory
    # `cached` computes the reference once per pair and draw; it needs noise_draws.
    reference: Literal["each_step", "cached"] = "each_step"
    noise_draws: int = 0  # fixed draws of (t, noise) per pair, taken in turn; 0: new ones each step
    micro_pairs: int = 0  # pairs of one forward, of one process; 0: all of them at once
    processes: int = 1  # torchrun starts them; each takes as many pairs of a step
    sharding: Literal["ddp", "fsdp"] = "ddp"  # with several processes: whole weights, or slices
    watch: WatchSettings = field(default_factory=WatchSettings)
    alarms: AlarmSettings = field(default_factory=AlarmSettings)
    stop_on: tuple[str, ...] = ()  # alarms that end the run; the last good checkpoint is its result
    licence: str = ""  # of the adapter, as the hub names it: apache-2.0; it goes onto its card

    def __post_init__(self) -> None:
        for name in self.stop_on:
            require(name in ALARMS, "each of stop_on", f"one of {', '.join(ALARMS)}", name)
        wanted = SETTINGS[self.method]
        if not isinstance(self.settings, wanted):
            raise ConfigError(
                f"settings must be those of {self.method}, got {type(self.settings).__name__}"
            )
        require(self.lr > 0, "lr", "above 0", self.lr)
        require(self.max_grad_norm > 0, "max_grad_norm", "above 0", self.max_grad_norm)
        require(0 <= self.start_noise < 1, "start_noise", "in [0, 1)", self.start_noise)
        require(0 <= self.caption_dropout < 1, "caption_dropout", "in [0, 1)", self.caption_dropout)
        for name in ("steps", "pairs_per_step", "threads", "log_every", "save_every", "cache_mib"):
            require(getattr(self, name) >= 1, name, "1 or more", getattr(self, name))
        require(self.warmup_steps >= 0, "warmup_steps", "0 or more", self.warmup_steps)
        require(self.seed >= 0, "seed", "0 or more", self.seed)
        named = re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.licence) or not self.licence
        require(named, "licence", "a name of the hub such as apache-2.0, or none", self.licence)
        _check_efficiency(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Like the others, but `settings` are read as the method's; none means its defaults."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"expected an object with settings, got {values!r}")
        method = values.get("method", "flow_dpo")
        require(method in SETTINGS, "method", f"one of {', '.join(SETTINGS)}", method)
        settings = values.get("settings", {})
        if not isinstance(settings, MethodSettings):
            settings = SETTINGS[method].from_json(settings)
        return super(AlignmentConfig, cls).from_json({**values, "settings": settings})


def _check_efficiency(config: AlignmentConfig) -> None:
    """How the work is cut up: nothing here changes what a step comes to but for `noise_draws`."""
    require(config.noise_draws >= 0, "noise_draws", "0 or more", config.noise_draws)
    require(config.micro_pairs >= 0, "micro_pairs", "0 or more", config.micro_pairs)
    require(config.processes >= 1, "processes", "1 or more", config.processes)
    if config.reference == "cached" and not config.noise_draws:
        raise ConfigError(
            "reference 'cached' needs noise_draws of 1 or more: a draw that never comes back "
            "cannot be computed once"
        )
    if config.pairs_per_step % config.processes:
        raise ConfigError(
            f"pairs_per_step must be a multiple of processes, so that each process takes as many, "
            f"got {config.pairs_per_step} and {config.processes}"
        )


@dataclass(frozen=True, slots=True)
class GuidanceSettings(Checked):
    """Flow-NRG: following the gradient of a latent reward model while sampling; 0 does not.

    `dimensions` weighs the rewards of the model; none means all of them equally, summing to 1.
    `max_factor` clamps the noise-to-signal ratio, t / (1 - t) of a flow, which is 99 at t = 0.99.
    `max_norm` shortens a shift that is longer than this share of the velocity; 0 shortens none.
    `untrained` above 0 takes the directions of that draw of random weights, as a control: one draw
    may favour something by chance, so take several.
    """

    weight: float = 0.0
    dimensions: dict[str, float] = field(default_factory=dict)
    max_factor: float = 10.0
    max_norm: float = 0.0
    untrained: int = 0

    def __post_init__(self) -> None:
        require(self.weight >= 0, "weight", "0 or more", self.weight)
        require(self.max_factor > 0, "max_factor", "above 0", self.max_factor)
        require(self.max_norm >= 0, "max_norm", "0 (no clip) or more", self.max_norm)
        require(self.untrained >= 0, "untrained", "0 (the model) or more", self.untrained)


@dataclass(frozen=True, slots=True)
class GenerationConfig(Checked):
    """A generation run: how each prompt becomes clips. Defaults are those of Wan 2.1 at 480p.

    `height`, `width`, `num_frames` or `fps` 0 is what the generator was trained on.

    Clip k of a prompt has the seed `seed + k`. Its noise depends on the prompt and that seed alone,
    so two generators that are asked the same share their noise, in whatever batches they work.
    """

    KIND: ClassVar[str] = "generation"

    generator: str = ""  # the name that goes into each clip's record, and onto pages
    clips_per_prompt: int = 1
    seed: int = 0
    steps: int = 50
    guidance_scale: float = 5.0
    guidance_scale_2: float = 0.0  # of the network for little noise (Wan 2.2); 0: guidance_scale
    negative_prompt: str = ""
    shift: float = 0.0  # of the noise schedule; 0 takes the generator's own
    height: int = 480
    width: int = 832
    num_frames: int = 81
    fps: int = 16
    batch: int = 1
    adapter_scale: float = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"  # of networks and text encoders
    reward_guidance: GuidanceSettings = field(default_factory=GuidanceSettings)
    threads: int = 1
    # Above 1 the clips are shared out among so many runs, and one more gathers what they leave;
    # each of them has its number in `chunk`.
    chunks: int = 1
    chunk: int | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "threads"):
            require(getattr(self, name) >= 1, name, "1 or more", getattr(self, name))
        if fault := chunk_fault(self.chunks, self.chunk):
            raise ConfigError(fault)
        for name in ("height", "width", "num_frames", "fps"):
            require(getattr(self, name) >= 0, name, "0 (native) or more", getattr(self, name))
        clips = self.clips_per_prompt
        rule = f"between 1 and {MAX_CLIPS_PER_PROMPT}"
        require(1 <= clips <= MAX_CLIPS_PER_PROMPT, "clips_per_prompt", rule, clips)
        require(self.seed >= 0, "seed", "0 or more", self.seed)
        for name in ("guidance_scale", "guidance_scale_2"):
            require(getattr(self, name) >= 0, name, "0 or more", getattr(self, name))
        require(self.shift >= 0, "shift", "0 (native) or above", self.shift)
        for name in ("height", "width"):
            require(getattr(self, name) % 2 == 0, name, "even (H.264)", getattr(self, name))

    @property
    def guided(self) -> bool:
        """Whether each step also needs the velocity under the negative prompt."""
        return self.guidance_scale != 1.0 or self.guidance_scale_2 not in {0.0, 1.0}

    def scale_at(self, t: float, boundary: float) -> float:
        """Of guidance by text, for a generator whose second network predicts below `boundary`."""
        return self.guidance_scale_2 or self.guidance_scale if t < boundary else self.guidance_scale


@dataclass(frozen=True, slots=True)
class GatheringConfig(Checked):
    """A run of kind `generations_gathered`: how many chunks, and which clips there must be."""

    KIND: ClassVar[str] = "generations_gathered"

    chunks: int = 1
    seed: int = 0
    clips_per_prompt: int = 1

    def __post_init__(self) -> None:
        if fault := chunk_fault(self.chunks, None):
            raise ConfigError(fault)
        require(self.seed >= 0, "seed", "0 or more", self.seed)
        require(self.clips_per_prompt >= 1, "clips_per_prompt", "1 or more", self.clips_per_prompt)
