"""What is watched while a generator trains and what an evaluation says are the same measure."""

import numpy as np
import pytest
import torch

from annotation.media import sketches
from models_align.watching import spread as watched

pytestmark = pytest.mark.one_engine


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 80), (37, 51), (16, 16)])
def test_both_packages_measure_the_same_diversity(height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (5, height, width, 3), dtype=np.uint8) for _ in range(3)]
    ours = [
        sketches.Sketch(np.stack([sketches.cells_of(frame) for frame in clip])) for clip in clips
    ]
    theirs = [watched.sketch(torch.as_tensor(clip)) for clip in clips]
    assert ours[0].cells / 255 == pytest.approx(
        theirs[0].permute(0, 2, 3, 1).numpy().astype(float), abs=1e-6
    )
    assert sketches.spread(ours) == pytest.approx(watched.spread(theirs), abs=1e-4)
