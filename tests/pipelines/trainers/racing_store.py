"""One side of a race between commits and collections, as a process of its own.

    python racing_store.py commit FOLDER ROUNDS SEED     keeps, refers, reads back, lets go
    python racing_store.py collect FOLDER {good,naive}   collects until FOLDER/stop is there

The contents are few, so that what one lets go is what another wants at that moment.
"""

import json
import os
import random
import sys
import time
from pathlib import Path

CONTENTS = 4


def commit(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    from django.db import transaction

    from formats.files import sha256_of
    from pipelines.errors import StoreError
    from pipelines.models import Artifact, Run
    from pipelines.store.blobs import blob_store, key_of
    from pipelines.store.keeping import keep

    chance, run = random.Random(seed), Run.objects.get(name=f"racer {seed}")
    again = lost = 0
    for number in range(rounds):
        path = folder / f"{seed}-{number}.bin"
        path.write_bytes(b"content %d" % chance.randrange(CONTENTS) * 500)
        sha256 = sha256_of(path)
        artifact = Artifact(kind="scores", run=run, path=path.name, sha256=sha256, stored=True)
        while True:
            try:
                kept = keep(path, sha256, run)
                time.sleep(chance.uniform(0, 0.004))
                with transaction.atomic():
                    artifact.pk = None
                    artifact.save(force_insert=True)
                    kept.refer(artifact)
                break
            except StoreError:
                again += 1
        time.sleep(chance.uniform(0, 0.004))
        row = artifact.files.select_related("blob").get()
        back = folder / f"back-{seed}"
        try:
            blob_store().fetch(key_of(sha256, row.blob.generation), back)
            lost += sha256_of(back) != sha256
        except StoreError:
            lost += 1
        artifact.delete()
    return {"rounds": rounds, "again": again, "lost": lost}


def collect(folder: Path, how: str) -> dict[str, int]:
    from django.db import Error
    from django.db.models import ProtectedError

    from pipelines.models import Blob
    from pipelines.store import collecting, ledger
    from pipelines.store.blobs import blob_store, key_of

    removed = 0
    while not (folder / "stop").exists():
        if how == "good":
            removed += collecting.collect().blobs
            continue
        # Asks whether anything refers to it, and then deletes it: what everybody writes first.
        for sha256, generation in list(ledger.unwanted().values_list("pk", "generation")):
            time.sleep(0.003)
            blob_store().delete(key_of(sha256, generation))
            try:
                removed += Blob.objects.filter(pk=sha256).delete()[0]
            except (Error, ProtectedError):
                continue
    return {"removed": removed}


def main() -> None:
    sys.path[0] = str(Path(__file__).parents[3])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    folder = Path(sys.argv[2])
    if sys.argv[1] == "commit":
        done = commit(folder, int(sys.argv[3]), int(sys.argv[4]))
    else:
        done = collect(folder, sys.argv[3])
    print(json.dumps(done))


if __name__ == "__main__":
    main()
