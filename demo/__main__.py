"""`python -I -m demo {render,annotate,measure,pretrain} RUN_DIR`."""

import sys
from typing import Final

from formats.outcome import Outcome
from formats.run_dir import RunDir
from formats.supervised import Supervised, end_process, supervise
from trainers.bodies import imported
from trainers.observing import observe

# `module:name`; each imports only what it needs, for torch takes seconds to load.
COMMANDS: Final = {
    "render": "demo.render:render_world",
    "annotate": "demo.annotate:annotate",
    "measure": "demo.measure:measure_generations",
    "pretrain": "demo.pretraining:pretrained_base",
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in COMMANDS:
        print(f"usage: python -m demo {{{','.join(COMMANDS)}}} RUN_DIR", file=sys.stderr)
        return 2
    command, folder = arguments

    def body(run: Supervised) -> Outcome:
        # Imported under supervision: a broken installation leaves an outcome too.
        outcome: Outcome = imported(COMMANDS[command])(run)
        return outcome

    return supervise(body, RunDir(folder), observe)


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
