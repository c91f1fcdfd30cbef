"""`python -I -m measuring {vbench,gather} RUN_DIR`."""

import sys
from dataclasses import dataclass
from typing import Final

from formats.outcome import Outcome
from formats.run_dir import RunDir
from formats.supervised import Supervised, end_process, supervise
from trainers.bodies import imported
from trainers.observing import observe


@dataclass(frozen=True, slots=True)
class Command:
    """`function` is `module:name`; it takes a Supervised and gives an Outcome."""

    function: str
    help: str


COMMANDS: Final = {
    "vbench": Command("measuring.running:measure", "VBench and proxies of a generation set"),
    "gather": Command("measuring.gathering:gather", "make one result of its chunks"),
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in COMMANDS:
        print(usage(), file=sys.stderr)
        return 2
    command, folder = arguments

    def body(run: Supervised) -> Outcome:
        # Imported under supervision: a broken installation leaves an outcome too.
        outcome: Outcome = imported(COMMANDS[command].function)(run)
        return outcome

    return supervise(body, RunDir(folder), observe)


def usage() -> str:
    lines = "\n".join(f"  {name} RUN_DIR  {each.help}" for name, each in COMMANDS.items())
    return f"usage: python -m measuring COMMAND RUN_DIR\n\n{lines}"


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
