"""What Tiebreak promises, one sentence each, as docs/reliability.md lists them."""

from typing import Final

GROUPS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "J": (
        "Runs",
        {
            "J1": "A run exists if and only if its transaction committed.",
            "J2": "“Start” works while Redis is down; the run starts within 30 s of its return.",
            "J3": "A doubled or redelivered message never executes a run twice.",
            "J4": "After `kill -9` of anything the run is queued again within its lease + 15 s,"
            " goes on from its last good checkpoint, and no process is left.",
            "J5": "A worker that slept past its lease writes nothing, and its trainer has stopped.",
            "J6": "Only the legal changes of state exist, through the ORM and through raw SQL.",
            "J7": "Cancel frees the machine within 10 s, or the grace where the child ignores it.",
            "J8": "Pause and resume are exact: the weights are those of the uninterrupted run.",
            "J9": "A hang is found although the process lives, with the stacks of all processes.",
            "J10": "A poison run fails after its tries, with a growing pause, and holds up nobody.",
            "J11": "Reapers and schedulers may run in many copies.",
            "J12": "A worker that went deaf is noticed: its runs start within 60 s all the same.",
            "J13": "A full disk and a lack of memory are named; the last good checkpoint loads.",
            "J14": "Losing any process of a run over several hosts stops the whole run, which is"
            " queued again under a new fence.",
        },
    ),
    "A": (
        "Training state and artifacts",
        {
            "A1": "The newest visible checkpoint always loads.",
            "A2": "Resume is exact on the CPU: weights, order of data and losses.",
            "A3": "Old checkpoints go only after the new one is verified; two verified ones stay.",
            "A4": "NaN and infinity stop a training before the step, and never rotate away health.",
            "A5": "Damage is detected and never loaded; the previous good checkpoint is.",
            "A6": "A row means that the bytes are there.",
            "A7": "No pickle is ever loaded.",
            "A8": "Training is offline and pinned.",
            "A9": "A snapshot is content-addressed and reproducible.",
            "A10": "Lineage is complete, and garbage collection takes nothing that is used.",
        },
    ),
    "M": (
        "Media and files of strangers",
        {
            "M1": "A file can never make us fetch or read something else.",
            "M2": "Probing and transcoding are bounded.",
            "M3": "Strings of users never reach a command line.",
            "M4": "Polyglots are made harmless.",
            "M5": "Archives cannot escape or explode.",
            "M6": "CSV and JSONL go in as a whole or not at all; CSV goes out without formulas.",
            "M7": "Annotators cannot learn which model made a clip.",
            "M8": "Media is authorised, seekable and cacheable.",
        },
    ),
    "S": (
        "Security of the site",
        {
            "S1": "An unsafe configuration does not start.",
            "S2": "Every address has a declared policy; what has none is refused.",
            "S3": "No query string reaches relations that were not listed.",
            "S4": "Guessing passwords is stopped and cannot be aimed at others.",
            "S5": "Cookies, CSRF, HSTS, and a fresh log-in for dangerous acts.",
            "S6": "A strict content policy; stored text is inert.",
            "S7": "Fields and objects that are not one's own cannot be written or read.",
            "S8": "A run's config cannot become a command.",
            "S9": "The trainer sees no secret.",
        },
    ),
    "D": (
        "Data protection",
        {
            "D1": "Exports carry pseudonyms: stable inside one data set, unlinkable across two.",
            "D2": "Erasure works and keeps the science.",
            "D3": "Backups are restored, not believed.",
        },
    ),
    "O": (
        "Operation",
        {
            "O1": "Losing Redis loses nothing.",
            "O2": "We know before users do.",
            "O3": "Log lines name request, run, fence, rank; none is forged, secrets are masked.",
        },
    ),
    "V": (
        "Votes",
        {
            "V1": "An acknowledged vote is never lost.",
            "V2": "At most one live vote per triplet and annotator.",
            "V3": "Never more counted votes than wanted.",
            "V4": "What somebody abandoned returns by itself.",
            "V5": "A late vote is kept, never refused.",
            "V6": "The same key again gives the same answer, another body a conflict.",
            "V7": "A stale tab cannot vote on the wrong pair.",
            "V8": "The side is random, recorded, and turned back on the server.",
            "V9": "An ended session or another account loses and mixes nothing.",
            "V10": "The same pair never comes twice, also not as B/A.",
            "V11": "Concurrent writers never see “locked”.",
            "V12": "Changing a vote keeps history and never overwrites blindly.",
            "V13": "Everything completes and is told once.",
        },
    ),
}
PROMISES: Final = {name: text for _, group in GROUPS.values() for name, text in group.items()}
