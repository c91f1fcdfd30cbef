"""Clips and prompts as a generator sees them: read, checked, brought to one size, encoded once."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from formats.errors import FormatError
from formats.files import sha256_of
from formats.records import ImageRef, VideoRef
from models_align.generators.base import Generator
from models_align.generators.conditions import Condition
from models_align.generators.refusals import refuse_long_prompts, refuse_other_latents
from models_align.images import noised_image, start_image
from models_align.latents import TensorCache, content_key
from models_align.video import read_clip


@dataclass(frozen=True, slots=True)
class Size:
    """What clips are brought to before they are encoded; 0 leaves that side as it is."""

    num_frames: int = 0
    height: int = 0
    width: int = 0

    def fitted(self, frames: torch.Tensor) -> torch.Tensor:  # uint8 [T, H, W, 3], and back
        """Frames evenly over the clip; the middle of the picture, then resized."""
        if self.num_frames and len(frames) != self.num_frames:
            places = torch.linspace(0, len(frames) - 1, self.num_frames).round().long()
            frames = frames[places]
        if not self.height or tuple(frames.shape[1:3]) == (self.height, self.width):
            return frames
        pixels = _middle(frames, self.width / self.height).permute(0, 3, 1, 2).float()
        size = (self.height, self.width)
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True, align_corners=False)
        return pixels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _middle(frames: torch.Tensor, shape: float) -> torch.Tensor:
    """The largest part around the middle with this ratio of width to height."""
    height, width = frames.shape[1:3]
    new_height, new_width = min(height, round(width / shape)), min(width, round(height * shape))
    top, left = (height - new_height) // 2, (width - new_width) // 2
    return frames[:, top : top + new_height, left : left + new_width]


START = "start."  # before the names of a condition, among the tensors of a clip


class ClipEncoder:
    """Latents of clips and embeddings of prompts, each made once and then found in a cache."""

    def __init__(
        self, generator: Generator, cache: TensorCache, media_root: Path, size: Size | None = None
    ):
        self.generator = generator
        self.cache = cache
        self.media_root = media_root
        self.size = size or Size()
        self._key = generator.fingerprint()
        if any(asdict(self.size).values()):
            self._key = content_key(self._key, *map(str, asdict(self.size).values()))

    def clip(self, ref: VideoRef) -> dict[str, torch.Tensor]:
        """`latents` [C, t, h, w]; of an image-to-video generator also what it sees of the first
        frame, as `start.<name>`.
        """
        found = self.cache.get(self._clip_key(ref), lambda: self._made(ref))
        refuse_other_latents(
            found["latents"], self.generator.latent_channels, self.generator.source
        )
        return found

    def shape(self, ref: VideoRef) -> tuple[int, ...]:
        """Of the latents of a clip; one that was encoded before is not read for it."""
        known = self.cache.shape(self._clip_key(ref), "latents")
        return known or tuple(self.clip(ref)["latents"].shape)

    def start(self, clip: VideoRef, image: ImageRef | None = None) -> Condition:
        """What the generator sees of a start image, by default of the clip's first frame; without a
        batch axis, and empty for text-to-video.
        """
        found = self.clip(clip)
        if image is not None and any(name.startswith(START) for name in found):
            shape = tuple(found["latents"].shape)
            key = content_key("start", image.sha256, str(shape), self._key)
            found = self.cache.get(key, lambda: self._started(clip, image))
        return {
            name.removeprefix(START): each for name, each in found.items() if name.startswith(START)
        }

    def noised_start(
        self, clip: VideoRef, image: ImageRef | None, median: float, chance: torch.Generator
    ) -> Condition:
        """Like `start`, of the image with noise: encoded anew each time."""
        sha256 = image.sha256 if image else clip.sha256
        key = content_key("upright first", sha256, clip.sha256, self._key)
        found = self.cache.get(key, lambda: self._first(clip, image))
        noised = noised_image(found["first"], median, chance)
        condition = self.generator.encode_start(noised[None], int(found["num_frames"])) or {}
        return {name: each[0] for name, each in condition.items()}

    def text(self, prompt: str) -> torch.Tensor:  # [L, D]
        """One that is longer than the encoder takes is a PromptTooLongError."""
        key = content_key("text", prompt, self._key)
        return self.cache.get(key, lambda: self._read(prompt))["text"]

    def encode(
        self,
        refs: Iterable[VideoRef],
        prompts: Iterable[str],
        progress: Callable[[int, int], None],
    ) -> None:
        """Encode everything, so that a broken clip is found before the first step."""
        for prompt in dict.fromkeys(prompts):
            self.text(prompt)
        wanted = list({ref.sha256: ref for ref in refs}.values())
        shapes: dict[tuple[int, ...], VideoRef] = {}
        for number, ref in enumerate(wanted, start=1):
            shapes.setdefault(tuple(self.clip(ref)["latents"].shape), ref)
            progress(number, len(wanted))
        if len(shapes) > 1:
            found = ", ".join(f"{each.id} {shape}" for shape, each in shapes.items())
            raise FormatError(f"all clips must have one size and length, found latents of {found}")

    def _read(self, prompt: str) -> dict[str, torch.Tensor]:
        refuse_long_prompts(self.generator, [prompt])
        return {"text": self.generator.encode_prompts([prompt])[0]}

    def _clip_key(self, ref: VideoRef) -> str:
        # Earlier versions did not turn what a file says is to be turned: "clip" is theirs.
        return content_key("upright clip", ref.sha256, self._key)

    def _made(self, ref: VideoRef) -> dict[str, torch.Tensor]:
        path = self.media_root / ref.path
        frames = read_clip(path)
        if sha256_of(path) != ref.sha256:
            raise FormatError(f"the clip {ref.id} has changed since it was judged", path=path)
        frames = self.size.fitted(frames)
        self.generator.latent_shape(*frames.shape[:3])
        latents = self.generator.encode_clips(frames[None])[0]
        return {"latents": latents, **self._condition(frames[0], len(frames))}

    def _started(self, clip: VideoRef, image: ImageRef) -> dict[str, torch.Tensor]:
        found = self._first(clip, image)
        return self._condition(found["first"], int(found["num_frames"]))

    def _first(self, clip: VideoRef, image: ImageRef | None) -> dict[str, torch.Tensor]:
        """`first`: the start image in the size of the clip, uint8 [H, W, 3]; and `num_frames`."""
        frames = self.size.fitted(read_clip(self.media_root / clip.path))
        first = frames[0]
        if image is not None:
            size = Size(0, *frames.shape[1:3])
            first = size.fitted(start_image(image, self.media_root)[None])[0]
        return {"first": first, "num_frames": torch.tensor(len(frames))}

    def _condition(self, first: torch.Tensor, num_frames: int) -> dict[str, torch.Tensor]:
        condition = self.generator.encode_start(first[None], num_frames) or {}
        return {f"{START}{name}": each[0] for name, each in condition.items()}
