"""A mutant of trainers.torchrun: a host that has lost a process does not tell the others."""

import sys

from trainers import torchrun
from trainers.hosts import Table

if __name__ == "__main__":
    Table.stop = lambda self, code: None
    torchrun.end_as(torchrun.main(sys.argv[1:]))
