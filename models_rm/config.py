"""What a reward-model run can be asked to do. Standard library only: the web process reads this.

Defaults are those of VideoReward (arXiv 2501.13918, tables 10 and 11) unless a comment says more.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Self

from formats.chunks import chunk_fault

LOSSES: Final = ("btt", "bt", "margin", "constant_margin", "regression")
FROM_SCORES: Final = ("margin", "regression")  # losses that want 1-5 scores
LABELS: Final = ("consensus", "posterior", "votes")
ANNOTATOR_WEIGHTS: Final = ("equal", "reliability")
WITHOUT_SCORES: Final = ("leave_out", "no_margin")
# One reward token for all dimensions: to measure what separate ones are worth.
ONE_TOKEN: Final = ("guideline_one_token", "brief_one_token")
TEMPLATES: Final = ("guideline", "brief", *ONE_TOKEN)
# A converted model brings the text that it was trained with; no run trains with this word.
CARRIED: Final = "carried"
PARTS: Final = ("frozen", "lora", "full")
MERGERS: Final = ("vision", "frozen", "full")
BATCHING: Final = ("packed", "padded")
ROPE_MODES: Final = ("mrope", "flat")
SCHEDULES: Final = ("constant", "cosine")
DTYPES: Final = ("float32", "bfloat16")
SPLITS: Final = ("train", "validation", "test")
FRAME_RULES: Final = ("even_linspace",)
START_IMAGES: Final = ("ignore", "prepend")
SHARDINGS: Final = ("ddp", "fsdp")
KEEPS: Final = ("last", "best")
MOST_PROCESSES: Final = 1024
BENCHMARKS: Final = ("auto", "videogen_rewardbench", "genai_bench")


class ConfigError(ValueError):
    """A config asks for something that cannot be. The text is one sentence for a person."""


class _Config:
    """Reading and writing of a frozen dataclass that checks itself."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(**_checked_keys(cls, values))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload]


@dataclass(frozen=True, slots=True)
class RewardModelConfig(_Config):
    """A run of kind `reward_model`. Its dimensions come with the snapshot."""

    # What is learned
    dimensions: tuple[str, ...] = ()  # train these of the snapshot alone; empty: all of them
    loss: str | Mapping[str, str] = "btt"  # one for all, or per dimension key
    theta: float | Mapping[str, float] = 5.0  # one for all, or per dimension key; above 1
    learn_theta: bool = False  # theta starts at the tie rate of each dimension and is learned
    constant_margin: float = 0.57  # of the loss `constant_margin`, as the released code has it
    margin_without_scores: str = "leave_out"  # or `no_margin`: such a pair counts as in `bt`
    labels: str = "consensus"  # `posterior` of the annotators; `votes`: each judgement of its own
    annotator_weights: str = "equal"  # of `votes`; `reliability`: by Dawid and Skene's model
    dimension_weights: Mapping[str, float] = field(default_factory=dict)  # 1 where not named
    uncertainty: bool = False  # a second head says how sure the reward is
    template: str = "guideline"
    shared_head: bool = False  # one linear head for all dimensions instead of one each

    # Which parts of the backbone learn
    language: str = "lora"
    vision: str = "full"
    lora_r: int = 64
    lora_alpha: int = 128
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = (
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    )  # fmt: skip
    lora_vision_targets: tuple[str, ...] = ()  # none: the linear layers that the family names
    merger: str = "vision"  # brings the tower's width to that of the text: as the tower, or alone

    # Optimiser
    steps: int = 1000
    epochs: float | None = None  # passes over the training pairs; where given, it decides `steps`
    pairs_per_step: int = 32
    accumulation: int = 1  # parts that a process works on one after another in each step
    learning_rate: float = 2e-6
    vision_learning_rate: float = 2e-6
    head_learning_rate: float = 2e-6  # heads and reward tokens
    theta_learning_rate: float = 5e-3  # of a learned theta
    weight_decay: float = 0.0
    warmup: float = 0.05  # share of the steps
    schedule: str = "constant"
    max_grad_norm: float = 1.0
    gradient_checkpointing: bool = False

    # What it sees
    fps: float = 2.0
    frame_rule: str = "even_linspace"
    min_frames: int = 4
    max_frames: int = 768
    min_pixels: int = 128 * 28 * 28  # area of one frame after resizing
    max_pixels: int = 256 * 28 * 28
    start_image: str = "ignore"  # `prepend`: what a clip was to start from stands before its frames
    rope_mode: str = "mrope"  # `flat`: one position on all axes, as the released VideoReward has it
    cache_megabytes: int = 2048  # of decoded frames kept on disk, shared by the runs of a site
    batching: str = "packed"  # rows behind each other; `padded`: each as long as the longest

    # Which pairs, and by how many processes
    data_fraction: float = 1.0  # share of the training prompts; smaller ones lie inside larger ones
    processes: int = 1  # of one torchrun; they share the pairs of each step
    sharding: str = "ddp"  # every process holds the model; `fsdp`: each holds a part of it

    # Bookkeeping
    dtype: str = "float32"  # of the backbone; heads, rewards and losses are always float32
    seed: int = 0
    log_every: int = 10
    save_every: int = 200
    eval_every: int = 200
    patience: int | None = None  # stop after this many evaluations without a better validation loss
    keep: str = "last"  # `best`: the weights with the best validation loss, not those of the end
    eval_pairs: int = 512  # at most so many validation pairs while training; the end uses all
    bootstrap: int = 1000  # resamples of the prompt-clustered intervals
    probe_pairs: int = 128  # pairs that the probes at the end look at, at most; 0 asks none
    threads: int | None = None  # CPU threads; None leaves it to the environment
    embed_backbone: bool = (
        False  # put the whole backbone into the checkpoint, so that it stands alone
    )

    def __post_init__(self) -> None:
        for each in _values_of(self.loss, "loss"):
            _one_of("loss", each, LOSSES)
        _one_of("labels", self.labels, LABELS)
        _one_of("annotator_weights", self.annotator_weights, ANNOTATOR_WEIGHTS)
        _one_of("margin_without_scores", self.margin_without_scores, WITHOUT_SCORES)
        _one_of("template", self.template, (*TEMPLATES, CARRIED))
        _one_of("language", self.language, PARTS)
        _one_of("vision", self.vision, PARTS)
        _one_of("merger", self.merger, MERGERS)
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("frame_rule", self.frame_rule, FRAME_RULES)
        _one_of("start_image", self.start_image, START_IMAGES)
        _one_of("rope_mode", self.rope_mode, ROPE_MODES)
        _one_of("batching", self.batching, BATCHING)
        _one_of("dtype", self.dtype, DTYPES)
        _one_of("sharding", self.sharding, SHARDINGS)
        _one_of("keep", self.keep, KEEPS)
        self._check_theta()
        _flags(
            self, "learn_theta", "uncertainty", "shared_head", "gradient_checkpointing",
            "embed_backbone",
        )  # fmt: skip
        _words(self, "lora_targets")
        if self.lora_vision_targets != ():
            _words(self, "lora_vision_targets")
        _whole(
            self, 1, "steps", "pairs_per_step", "accumulation", "lora_r", "lora_alpha",
            "min_frames", "max_frames", "min_pixels", "max_pixels", "log_every", "save_every",
            "eval_every", "eval_pairs", "processes",
        )  # fmt: skip
        _whole(self, 0, "seed", "bootstrap", "probe_pairs", "cache_megabytes")
        _optional_whole(self, 1, "patience", "threads")
        _positive(
            self,
            "learning_rate",
            "vision_learning_rate",
            "head_learning_rate",
            "theta_learning_rate",
            "constant_margin",
            "max_grad_norm",
            "fps",
        )
        _share(self, "lora_dropout", "warmup")
        _number("weight_decay", self.weight_decay, low=0.0)
        self._check_amount()
        self._check_objective()
        self._check_fit()
        self._check_tokens()

    def _check_theta(self) -> None:
        if isinstance(self.theta, Mapping):
            for key, value in self.theta.items():
                _check_theta(f"theta of {key}", value)
        else:
            _check_theta("theta", self.theta)

    def _check_amount(self) -> None:
        """How many pairs, in how many parts, by how many processes."""
        if self.epochs is not None and (not _is_number(self.epochs) or self.epochs <= 0):
            raise ConfigError(f"epochs must be above 0, got {self.epochs!r}")
        if not _is_number(self.data_fraction) or not 0 < self.data_fraction <= 1:
            raise ConfigError(
                f"data_fraction must be above 0 and at most 1, got {self.data_fraction!r}"
            )
        if self.processes > MOST_PROCESSES:
            raise ConfigError(f"processes must be at most {MOST_PROCESSES}, got {self.processes}")
        if self.pairs_per_step % (self.accumulation * self.processes):
            by = "accumulation" if self.processes == 1 else "accumulation times processes"
            raise ConfigError(
                f"{by} must divide pairs_per_step, "
                f"got {self.accumulation * self.processes} and {self.pairs_per_step}"
            )

    def _check_objective(self) -> None:
        """Settings of what is learned that contradict each other, or that nothing would use."""
        kinds = set(_values_of(self.loss, "loss"))
        if self.learn_theta and "btt" not in kinds:
            raise ConfigError(f"learn_theta needs the loss btt, got {', '.join(sorted(kinds))}")
        if self.labels != "consensus" and kinds == {"regression"}:
            raise ConfigError(f"regression learns from scores; labels {self.labels!r} say nothing")
        if self.annotator_weights != "equal" and self.labels != "votes":
            raise ConfigError(
                f"annotator_weights {self.annotator_weights!r} needs labels 'votes', "
                f"got {self.labels!r}"
            )
        self._check_dimensions()

    def _check_dimensions(self) -> None:
        if self.dimensions:
            _words(self, "dimensions")
        if len(set(self.dimensions)) != len(self.dimensions):
            raise ConfigError(f"dimensions names one twice: {', '.join(self.dimensions)}")
        if not isinstance(self.dimension_weights, Mapping):
            raise ConfigError(
                f"dimension_weights must be numbers by dimension, got {self.dimension_weights!r}"
            )
        for key, value in self.dimension_weights.items():
            _number(f"dimension_weights of {key}", value, low=0.0)

    def _check_fit(self) -> None:
        if self.min_pixels > self.max_pixels:
            raise ConfigError(
                f"min_pixels must not exceed max_pixels, "
                f"got {self.min_pixels} and {self.max_pixels}"
            )
        if self.min_frames > self.max_frames:
            raise ConfigError(
                f"min_frames must not exceed max_frames, "
                f"got {self.min_frames} and {self.max_frames}"
            )

    def _check_tokens(self) -> None:
        if self.shared_head and self.template in ONE_TOKEN:
            raise ConfigError(
                f"shared_head with the template {self.template} gives all dimensions one reward"
            )

    def for_pairs(self, count: int) -> Self:
        """This config for that many training pairs: with `epochs`, the steps follow from them."""
        if self.epochs is None:
            return self
        return replace(self, steps=max(1, math.ceil(self.epochs * count / self.pairs_per_step)))

    def theta_of(self, keys: tuple[str, ...]) -> list[float]:
        """Theta per dimension, in the order of `keys`; a dimension without one is an error."""
        return [float(each) for each in _per_dimension("theta", self.theta, keys)]

    def loss_of(self, keys: tuple[str, ...]) -> list[str]:
        """The kind of loss per dimension, in the order of `keys`."""
        return [str(each) for each in _per_dimension("loss", self.loss, keys)]

    def weights_of(self, keys: tuple[str, ...]) -> list[float]:
        """What a judgement of each dimension weighs, in the order of `keys`."""
        unknown = sorted(set(self.dimension_weights) - set(keys))
        if unknown:
            raise ConfigError(
                f"dimension_weights names {unknown[0]}; the dimensions are {', '.join(keys)}"
            )
        weights = [float(self.dimension_weights.get(key, 1.0)) for key in keys]
        if not any(weights):
            raise ConfigError("dimension_weights must leave one dimension above 0")
        return weights

    def check_for(self, keys: tuple[str, ...]) -> None:
        """ConfigError where what is said per dimension does not fit these dimensions."""
        self.theta_of(keys)
        self.loss_of(keys)
        self.weights_of(keys)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """`soft_labels` is what configs and cards of older versions say for `labels`."""
        known = dict(values)
        if "soft_labels" in known and "labels" not in known:
            known["labels"] = "posterior" if known.pop("soft_labels") else "consensus"
        # Not super(): a dataclass with slots is another class than the one that `super` looks for.
        return cls(**_checked_keys(cls, known))


@dataclass(frozen=True, slots=True)
class ScoringConfig(_Config):
    """A run of kind `scoring`: what changes scores comes from the reward model itself.

    With `chunks` above 1 and no `chunk`, the set is shared out among so many runs, and one more
    gathers what they leave; each of them has its number in `chunk`.
    """

    chunks: int = 1
    chunk: int | None = None
    batch_size: int = 32  # clips in one forward, at most
    batch_tokens: int = 8192  # and so many visual tokens, at most
    readers: int = 2  # threads that decode while the network computes
    part_clips: int = 256  # so many scores at most are lost when the process is killed
    part_seconds: float = 30.0  # or those of so much time
    dtype: str = "float32"
    accept_other_libraries: bool = False  # than the model was made with: scores may differ
    threads: int | None = None
    log_every: int = 1  # batches

    def __post_init__(self) -> None:
        _whole(
            self, 1, "batch_size", "batch_tokens", "readers", "part_clips", "log_every", "chunks"
        )
        _optional_whole(self, 1, "threads")
        _optional_whole(self, 0, "chunk")
        _positive(self, "part_seconds")
        _flags(self, "accept_other_libraries")
        _one_of("dtype", self.dtype, DTYPES)
        if fault := chunk_fault(self.chunks, self.chunk):
            raise ConfigError(fault)


@dataclass(frozen=True, slots=True)
class GatheringConfig(_Config):
    """A run of kind `scores_gathered`: how many chunks it gathers."""

    chunks: int = 1

    def __post_init__(self) -> None:
        _whole(self, 1, "chunks")


@dataclass(frozen=True, slots=True)
class BenchmarkConfig(_Config):
    """A run of kind `reward_benchmark`: a reward model against the votes of a published benchmark.

    The clips of a benchmark lie in a folder; `file` and the tables in `scores` (name of a model to
    its CSV) lie there too. On a site the folder is below MEDIA_ROOT/incoming.
    """

    folder: str = ""
    file: str = ""
    format: str = "auto"
    scores: Mapping[str, str] = field(default_factory=dict)
    name: str = "this model"  # in the table
    min_pixels: int | None = None  # another size of frames than the model's: of raw rewards only
    max_pixels: int | None = None  # 256 * 256 both, as the paper has it for GenAI-Bench
    bootstrap: int = 1000
    seed: int = 0
    batch_size: int = 32
    batch_tokens: int = 8192
    readers: int = 2
    part_clips: int = 256
    part_seconds: float = 30.0
    dtype: str = "float32"
    accept_other_libraries: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        _one_of("format", self.format, BENCHMARKS)
        _one_of("dtype", self.dtype, DTYPES)
        for name in ("folder", "file", "name"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise ConfigError(f"{name} must be a text, got {value!r}")
        chosen: object = self.scores
        if not isinstance(chosen, Mapping) or not all(isinstance(v, str) for v in chosen.values()):
            raise ConfigError(f"scores must go from a name to a file, got {chosen!r}")
        if self.name in self.scores:
            raise ConfigError(f"two models have the name {self.name!r}")
        _whole(self, 1, "batch_size", "batch_tokens", "readers", "part_clips")
        _whole(self, 0, "bootstrap", "seed")
        _optional_whole(self, 1, "threads", "min_pixels", "max_pixels")
        _positive(self, "part_seconds")
        _flags(self, "accept_other_libraries")


@dataclass(frozen=True, slots=True)
class CompositionConfig(_Config):
    """A run of kind `composition`: several reward models become one.

    `dimensions` goes from a member (the word behind `reward_model:`) to the dimensions that are
    taken from it; a member that is not named gives all of its own.
    """

    name: str = "composed"
    title: str = ""
    dimensions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("name", "title"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"{name} must be a text, got {getattr(self, name)!r}")
        chosen: object = self.dimensions
        if not isinstance(chosen, Mapping):
            raise ConfigError(f"dimensions must be an object, got {chosen!r}")
        for member, keys in chosen.items():
            if not isinstance(keys, list | tuple) or not keys:
                raise ConfigError(f"dimensions of {member} must be a list of keys, got {keys!r}")


@dataclass(frozen=True, slots=True)
class ConversionConfig(_Config):
    """A run of kind `conversion`: a released VideoReward checkpoint becomes a reward model.

    `folder` holds the release and the file with its rating text; on a site it is below
    MEDIA_ROOT/incoming.
    """

    folder: str = ""
    template: str = "prompt_template.py"
    step: int | None = None  # which checkpoint, if there are several
    embed_backbone: bool = False

    def __post_init__(self) -> None:
        for name in ("folder", "template"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise ConfigError(f"{name} must be a name, got {value!r}")
        _optional_whole(self, 0, "step")
        _flags(self, "embed_backbone")


@dataclass(frozen=True, slots=True)
class EvaluationConfig(_Config):
    """`models_rm evaluate`: a reward model against the human labels of one split of a snapshot."""

    split: str = "test"
    batch_size: int = 8
    dtype: str = "float32"
    accept_other_libraries: bool = False  # than the model was made with: scores may differ
    threads: int | None = None
    bootstrap: int = 1000
    probe_pairs: int = 128  # 0 asks no probes
    seed: int = 0

    def __post_init__(self) -> None:
        _one_of("split", self.split, SPLITS)
        _one_of("dtype", self.dtype, DTYPES)
        _flags(self, "accept_other_libraries")
        _whole(self, 1, "batch_size")
        _whole(self, 0, "bootstrap", "probe_pairs", "seed")
        _optional_whole(self, 1, "threads")


def _checked_keys(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    known = [each.name for each in fields(kind)]
    for key in values:
        if key not in known:
            raise ConfigError(_unknown_key(key, known))
    return {key: _frozen(value) for key, value in values.items()}


def _values_of(value: Any, name: str) -> list[Any]:
    """What is said, for all dimensions or for each."""
    if isinstance(value, Mapping) and not value:
        raise ConfigError(f"{name} names no dimension")
    return list(value.values()) if isinstance(value, Mapping) else [value]


def _per_dimension(name: str, value: Any, keys: tuple[str, ...]) -> list[Any]:
    if not isinstance(value, Mapping):
        return [value] * len(keys)
    if set(value) != set(keys):
        raise ConfigError(
            f"{name} must name exactly the dimensions {', '.join(keys)}; "
            f"got {', '.join(sorted(value)) or 'none'}"
        )
    return [value[key] for key in keys]


def _unknown_key(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
    return f"unknown key {key!r}; {hint}"


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_theta(name: str, value: object) -> None:
    if not _is_number(value) or value <= 1:  # type: ignore[operator]
        raise ConfigError(f"{name} must be above 1, got {value!r}")


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")


def _whole(config: object, low: int, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ConfigError(f"{name} must be a whole number, at least {low}; got {value!r}")


def _optional_whole(config: object, low: int, *names: str) -> None:
    for name in names:
        if getattr(config, name) is not None:
            _whole(config, low, name)


def _number(name: str, value: object, *, low: float) -> None:
    if not _is_number(value) or value < low:  # type: ignore[operator]
        raise ConfigError(f"{name} must be a number, at least {low}; got {value!r}")


def _positive(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not _is_number(value) or value <= 0:
            raise ConfigError(f"{name} must be above 0, got {value!r}")


def _share(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not _is_number(value) or not 0 <= value < 1:
            raise ConfigError(f"{name} must be at least 0 and below 1, got {value!r}")


def _flags(config: object, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(config, name), bool):
            raise ConfigError(f"{name} must be true or false, got {getattr(config, name)!r}")


def _words(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, tuple) or not value or not all(isinstance(w, str) for w in value):
            raise ConfigError(f"{name} must be a list of names, got {value!r}")
