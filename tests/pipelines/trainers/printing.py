"""A trainer that prints more than anybody reads: `lines` lines of a hundred letters.

python -I printing.py RUN_DIR
"""

import sys
import time

from formats.outcome import Outcome
from formats.run_dir import RunDir
from formats.supervised import Supervised, end_process, supervise

_AT_ONCE = 1000
_PAUSE = 0.005  # seconds behind them: twenty megabytes in a second


def work(run: Supervised) -> Outcome:
    lines = run.dir.config()["lines"]
    for first in range(0, lines, _AT_ONCE):
        run.check()
        some = range(first, min(first + _AT_ONCE, lines))
        sys.stdout.write("".join(f"line {number:>9} {'.' * 84}\n" for number in some))
        sys.stdout.flush()
        run.dir.log_metrics(some[-1] + 1, lines)
        time.sleep(_PAUSE)
    return Outcome(0, summary={"lines": lines})


if __name__ == "__main__":
    end_process(supervise(work, RunDir(sys.argv[-1])))
