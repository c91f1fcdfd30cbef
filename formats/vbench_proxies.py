"""Weight-free proxies: their names, and what each means. None is a dimension of VBench."""

from typing import Final

from formats.vbench_results import PROXY

MOTION: Final = f"{PROXY}motion_amount"
STILL: Final = f"{PROXY}still_share"
JUMPS: Final = f"{PROXY}brightness_jumps"
SHARPNESS: Final = f"{PROXY}sharpness"
BRIGHTNESS: Final = f"{PROXY}brightness"
CONTRAST: Final = f"{PROXY}contrast"
COLOURFULNESS: Final = f"{PROXY}colourfulness"
# What a person reads beside the figure.
MEANINGS: Final = {
    MOTION: "change of brightness from frame to frame, percent of the clip's contrast; 0 is a still"
    " picture",
    STILL: "share of the steps from frame to frame on which nothing moves; 1 is a still picture",
    JUMPS: "mean change of the whole picture's brightness per frame, percent of the range",
    SHARPNESS: "variance of the Laplacian of the brightness (0 to 255); low is blurred",
    BRIGHTNESS: "mean brightness, percent of the range",
    CONTRAST: "standard deviation of the brightness over the picture, percent of the range",
    COLOURFULNESS: "Hasler and Süsstrunk's measure (2003); 0 is grey",
}
