"""How closely two clips of unequal rate and length are kept in step, in a real Chromium.

    python -m bench.playback [--loops 3] [--json FILE]

The page's own modules (static/js/lib) play pairs that are made on the fly. While both play, both
media clocks are read in the same moment of every drawn frame. Then the pair is paused and stepped,
and the number of the frame that each side shows is read from its pixels, where it is written in
black and white squares: no clock is trusted there.
"""

import argparse
import json
import math
import platform
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from playwright.sync_api import Page, sync_playwright

from tests.conftest import CHROMIUM_FLAGS, chromium

ROOT: Final = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT, BIT, BITS = 640, 360, 40, 8
STEPS: Final = (1, 1, -1, 10, -10, 1)


@dataclass(frozen=True, slots=True)
class Clip:
    fps: int
    frames: int

    @property
    def name(self) -> str:
        return f"{self.fps}-{self.frames}.mp4"

    @property
    def title(self) -> str:
        return f"{self.fps} fps, {self.frames / self.fps:.2f} s"


PAIRS: Final = (
    (Clip(24, 96), Clip(30, 96)),
    (Clip(30, 90), Clip(16, 64)),
    (Clip(16, 56), Clip(24, 60)),
)
PAGE: Final = """<!doctype html><meta charset="utf-8"><title>playback</title>
<video id="a" width="640" muted></video><video id="b" width="640" muted></video>
<script type="module">
import { PairedPlayback } from "/static/js/lib/paired-playback.js";
window.playback = new PairedPlayback(...document.querySelectorAll("video"));
</script>"""
MEASURE: Final = """async ([clips, loops]) => {
  const { playback } = window;
  const [a, b] = playback.videos;
  const drifts = [];
  await playback.load(clips);
  await playback.play();
  await new Promise((done) => {
    const look = () => {
      const both = ![a, b].some((each) => each.paused || each.ended || each.seeking);
      if (both) drifts.push(1000 * Math.abs(a.currentTime - b.currentTime));
      if (playback.counts.loops < loops) requestAnimationFrame(look);
      else done();
    };
    look();
  });
  return { drifts, jumps: playback.counts.jumps };
}"""
# The number of the frame that each side shows, from its pixels, and what the page says it is.
STEP: Final = """async ([by, bit, bits]) => {
  const { playback } = window;
  const drawn = playback.videos.map((video) =>
    new Promise((done) => {
      video.requestVideoFrameCallback(done);
      setTimeout(done, 400); // the side already shows its last frame
    }));
  if (by === 0) playback.pause();
  else await playback.step(by);
  await Promise.all(drawn);
  const canvas = new OffscreenCanvas(bit * bits, bit);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const shown = playback.videos.map((video) => {
    context.drawImage(video, 0, 0, bit * bits, bit, 0, 0, bit * bits, bit);
    let number = 0;
    for (let place = 0; place < bits; place += 1) {
      const [level] = context.getImageData(place * bit + bit / 2, bit / 2, 1, 1).data;
      if (level > 127) number += 2 ** place;
    }
    return number;
  });
  return { shown, told: playback.frames };
}"""


@dataclass(frozen=True, slots=True)
class Result:
    a: str
    b: str
    samples: int
    median_ms: float
    p95_ms: float
    worst_ms: float
    jumps: int
    frames_off: int  # the most, over all steps


def draw(folder: Path, clip: Clip) -> None:
    """Each frame carries its number in squares, least significant bit first, and some movement."""
    with av.open(str(folder / clip.name), "w") as container:
        stream = container.add_stream("libx264", rate=clip.fps)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "18", "preset": "veryfast"}
        for number in range(clip.frames):
            pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            for place in range(BITS):
                level = 255 if number >> place & 1 else 0
                pixels[:BIT, place * BIT : (place + 1) * BIT] = level
            left = (WIDTH - 80) * number // clip.frames
            pixels[200:280, left : left + 80] = (220, 160, 40)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


class _Files(SimpleHTTPRequestHandler):
    """The repository's static folder, and the clips beside a page of our own."""

    def __init__(self, *given: Any, clips: Path, **more: Any) -> None:
        self.clips = clips
        super().__init__(*given, **more)

    def translate_path(self, path: str) -> str:
        name = path.split("?")[0].lstrip("/")
        return str(ROOT / name if name.startswith("static/js/lib/") else self.clips / name)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Loopback only, on a port that is free."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, clips=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def measured(page: Page, pair: tuple[Clip, Clip], loops: int) -> Result:
    # Whole in memory, as the voting page has them: the network plays no part.
    clips = [
        page.evaluate(
            """async ([url, fps, frames]) => {
              const blob = await (await fetch(url)).blob();
              return { url: URL.createObjectURL(blob), fps, frames };
            }""",
            [f"/{clip.name}", clip.fps, clip.frames],
        )
        for clip in pair
    ]
    found = page.evaluate(MEASURE, [clips, loops])
    drifts = np.array(found["drifts"])
    return Result(
        a=pair[0].title,
        b=pair[1].title,
        samples=len(drifts),
        median_ms=round(float(np.median(drifts)), 1),
        p95_ms=round(float(np.percentile(drifts, 95)), 1),
        worst_ms=round(float(drifts.max()), 1),
        jumps=found["jumps"],
        frames_off=max(frames_off(page, pair, by) for by in (0, *STEPS)),
    )


def frames_off(page: Page, pair: tuple[Clip, Clip], by: int) -> int:
    """After one step: how far what is shown is from one moment, or from the number told of it."""
    found = page.evaluate(STEP, [by, BIT, BITS])
    shown = found["shown"]
    spans = [_span(clip, frame) for clip, frame in zip(pair, shown, strict=True)]
    gap = max(start for start, _ in spans) - min(end for _, end in spans)
    apart = max(0, math.ceil(gap * max(clip.fps for clip in pair) - 1e-6))
    mistold = [abs(told - frame) for told, frame in zip(found["told"], shown, strict=True)]
    return int(max(apart, *mistold))


def _span(clip: Clip, frame: int) -> tuple[float, float]:
    """From when to when a frame is right; the last one stays."""
    last = frame == clip.frames - 1
    return frame / clip.fps, math.inf if last else (frame + 1) / clip.fps


def run(loops: int) -> tuple[str, list[Result]]:
    path = chromium()
    if path is None:
        raise SystemExit("No Chromium: install it, or name one in TIEBREAK_CHROMIUM.")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        (folder / "index.html").write_text(PAGE)
        for clip in {clip for pair in PAIRS for clip in pair}:
            draw(folder, clip)
        with served(folder) as url:
            browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.goto(f"{url}/index.html")
            results = [measured(page, pair, loops) for pair in PAIRS]
            version = browser.version
            browser.close()
    return version, results


def told(results: Sequence[Result]) -> None:
    print("clip A             clip B             median  p95 ms  worst  jumps  frames off")
    for each in results:
        print(
            f"{each.a:18} {each.b:18} {each.median_ms:6} {each.p95_ms:7} {each.worst_ms:6}"
            f" {each.jumps:6} {each.frames_off:11}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--loops", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    version, results = run(arguments.loops)
    told(results)
    if arguments.json:
        figures = {
            "loops": arguments.loops,
            "chromium": version,
            "machine": f"{platform.machine()}, {platform.system()}",
            "pairs": [asdict(each) for each in results],
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
