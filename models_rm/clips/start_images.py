"""The start image of an image-to-video clip, put before its frames.

A model that is to judge whether a clip keeps to its start image must see it. It stands in front,
repeated until it fills one temporal patch of the backbone: so no patch joins it with a frame of the
clip, and what the backbone is told about times stays that of evenly sampled frames.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

from formats.files import sha256_of
from formats.records import ImageRef
from formats.supervised import BadConfigError
from models_rm.clips.video import Clip, FrameRule
from models_rm.errors import ClipUnreadableError


@dataclass(frozen=True, slots=True, eq=False)
class StartImage:
    """A file with the sha256 of its bytes (empty: not checked), or pixels uint8 [H, W, 3]."""

    picture: Path | np.ndarray
    sha256: str = ""

    @classmethod
    def of(cls, ref: ImageRef | None, media_root: Path) -> "StartImage | None":
        return None if ref is None else cls(media_root / ref.path, ref.sha256)

    def pixels(self) -> np.ndarray:
        """uint8 [H, W, 3]; ClipUnreadableError where the file is not the picture that it should
        be: what is judged is then unreadable, not bad."""
        if isinstance(self.picture, np.ndarray):
            return self.picture
        try:
            with Image.open(self.picture) as image:
                pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except FileNotFoundError:
            raise ClipUnreadableError("the start image is missing", path=self.picture) from None
        except (OSError, ValueError, SyntaxError) as error:
            raise ClipUnreadableError(
                f"the start image cannot be read: {error}", path=self.picture
            ) from None
        if self.sha256 and sha256_of(self.picture) != self.sha256:
            raise ClipUnreadableError(
                "the file is not the start image that the records name: its hash is not"
                f" {self.sha256[:12]}...",
                path=self.picture,
            )
        return pixels


def with_start(clip: Clip, start: StartImage | None, rule: FrameRule) -> Clip:
    """The clip as a model with this rule sees it: behind its start image, if the rule asks for one.

    BadConfigError where it does and there is none.
    """
    if not rule.start_frames:
        return clip
    if start is None:
        raise BadConfigError(
            "the reward model looks at the start image of a clip, and this clip comes without one:"
            " give its image, or take a model that was trained with start_image 'ignore'"
        )
    picture = fitted(start.pixels(), *clip.frames.shape[-2:])
    front = picture[None].expand(rule.start_frames, -1, -1, -1)
    return Clip(torch.cat([front, clip.frames]), clip.fps)


def fitted(pixels: np.ndarray, height: int, width: int) -> torch.Tensor:
    """uint8 [H, W, 3] -> uint8 [3, height, width]: the middle of the picture, then resized."""
    if pixels.ndim != 3 or pixels.shape[-1] != 3 or pixels.dtype != np.uint8:
        raise ClipUnreadableError(
            f"a start image must be uint8 [H, W, 3], got {pixels.dtype} {list(pixels.shape)}"
        )
    high, wide = pixels.shape[:2]
    kept_high = min(high, max(1, round(wide * height / width)))
    kept_wide = min(wide, max(1, round(high * width / height)))
    top, left = (high - kept_high) // 2, (wide - kept_wide) // 2
    middle = pixels[top : top + kept_high, left : left + kept_wide]
    picture = torch.from_numpy(middle.copy()).permute(2, 0, 1)[None]
    if picture.shape[-2:] == (height, width):
        return picture[0]
    size = (height, width)
    return F.interpolate(picture, size=size, mode="bicubic", antialias=True, align_corners=False)[0]
