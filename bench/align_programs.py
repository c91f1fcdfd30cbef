"""One alignment by the product's own command, timed: `bench.align_speed` starts it as a child.

    python -m bench.align_programs RUN_DIR

Says one line of JSON: seconds of the whole training, of its loop, of each step, and of the
processor. The loop begins where everything is encoded: the reference that is computed once counts.
"""

import json
import sys
import time
from itertools import pairwise

# Imported before the clock starts, as a script that names it has it: that takes seconds.
from diffusers import WanPipeline  # noqa: F401

from formats.run_dir import RunDir
from formats.supervised import Supervised
from models_align.training import train


def main() -> None:
    run = RunDir(sys.argv[1])
    began, processor = time.perf_counter(), time.process_time()
    run.finish(train(Supervised(run)))
    said = {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - processor,
    }
    lines, _ = run.metrics_from(0)
    times = [each.time for each in lines if each.stage == "training"]
    encoded = max(each.time for each in lines if each.stage.startswith("encoding"))
    loop = {"loop": times[-1] - encoded, "steps": [b - a for a, b in pairwise(times)]}
    print(json.dumps({**said, **loop}), flush=True)


if __name__ == "__main__":
    main()
