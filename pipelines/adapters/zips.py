"""An adapter to take away: its folder with the whole card, one zip that loads where it is unpacked.

The folder of the run stays as it was hashed; in the zip its card is the whole one, with lineage and
win rates, and its manifest is of what the zip holds, so that it can be verified like any other.
"""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Final

from formats.checkpoints import MANIFEST, verify_folder
from formats.files import read_json, sha256_of, write_json
from pipelines.adapters.cards import README, WHOLE, card_of, markdown_of
from pipelines.models import Artifact
from pipelines.registry import path_of

WHOLE_CARD: Final = "adapter_card.json"


def zip_of(artifact: Artifact, target: BinaryIO) -> None:
    """Write the zip into an open file. FormatError for a damaged folder, or one without a card."""
    source = path_of(artifact)
    verify_folder(source)
    top = f"adapter-{artifact.run_id}"
    with (
        tempfile.TemporaryDirectory(prefix="adapter-zip-") as scratch,
        # Weights do not get smaller by compression; it would cost minutes.
        zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive,
    ):
        written = _written(artifact, Path(scratch), source)
        kept = {name: source / name for name in _manifest(source) if name not in written}
        for name, file in sorted({**kept, **written}.items()):
            archive.write(file, f"{top}/{name}")


def _written(artifact: Artifact, scratch: Path, source: Path) -> dict[str, Path]:
    """The files that are not those of the folder: both cards, and the manifest of them all."""
    (scratch / README).write_text(markdown_of(artifact), encoding="utf-8")
    plain = json.loads(json.dumps(card_of(artifact), default=str))
    write_json(scratch / WHOLE_CARD, WHOLE, plain)
    files = dict(_manifest(source))
    for name in (README, WHOLE_CARD):
        file = scratch / name
        files[name] = {"bytes": file.stat().st_size, "sha256": sha256_of(file)}
    meta = {"kind": artifact.kind, "made_of": artifact.sha256}
    write_json(scratch / "manifest.json", MANIFEST, {"files": files, "meta": meta})
    return {name: scratch / name for name in (README, WHOLE_CARD, "manifest.json")}


def _manifest(folder: Path) -> dict[str, Any]:
    files: dict[str, Any] = read_json(folder / "manifest.json", MANIFEST)["files"]
    return files
