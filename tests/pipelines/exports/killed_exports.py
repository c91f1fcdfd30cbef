"""Exports that the kernel kills: a child of test_exports_interrupted, which forks once per kill.

It reads one JSON object from stdin, and writes one list: what was visible after each kill, and what
the same export had become after it was started again. Killed in two ways: when a file would grow
beyond a byte (RLIMIT_FSIZE, so the file ends right there), or before the n-th call that makes
something lasting on the disk.
"""

import hashlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.exports import hugging_face

_LASTING = ("fsync", "link", "replace", "rename", "unlink", "rmdir", "mkdir")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    asked = json.load(sys.stdin)
    hugging_face.SHARD = asked["shard"]  # type: ignore[misc]
    if asked["spoiled"]:
        _SPOILERS[asked["spoiled"]]()
    json.dump([_played(Path(asked["folder"]), asked, kill) for kill in asked["kills"]], sys.stdout)


def _played(folder: Path, asked: dict[str, Any], kill: dict[str, Any]) -> dict[str, Any]:
    """One export: killed, looked at, started again, looked at."""
    name = "-".join(str(each) for each in kill.values())
    target = folder / name / f"export{asked['suffixes'][kill['format']]}"
    target.parent.mkdir()

    def go() -> None:
        _export(asked, kill["format"], target)

    status = _forked(go, kill)
    visible = _digest(target)
    goes_on = _staged(target)
    again = _forked(go, None)
    left = [path.name for path in target.parent.glob(".*")]
    return {
        "kill": kill,
        "killed": os.WIFSIGNALED(status),
        "visible": visible,
        "goes_on": goes_on,
        "again": again,
        "after": _digest(target),
        "left": left,
    }


def _export(asked: dict[str, Any], name: str, target: Path) -> None:
    from pipelines.exports.exporting import export
    from pipelines.models import Artifact

    artifact = Artifact(pk=1, sha256=asked["sha256"], meta={})
    export(artifact, name, target, source=Path(asked["snapshot"]), salt=b"a salt")


def _forked(go: Callable[[], None], kill: dict[str, Any] | None) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            if kill is not None:
                _arm(kill)
            go()
            os._exit(0)
        except Exception as error:  # noqa: BLE001 - a fork must never come back into pytest's child
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(3)
    return os.waitpid(pid, 0)[1]


def _arm(kill: dict[str, Any]) -> None:
    if kill["way"] == "byte":
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python would make an error of it
        resource.setrlimit(resource.RLIMIT_FSIZE, (kill["n"], kill["n"]))
        return
    left = kill["n"]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return called

    for name in _LASTING:
        setattr(os, name, counted(getattr(os, name)))


def _digest(target: Path) -> str:
    """Of all that is visible: the target, and the files that the format puts beside it."""
    digest = hashlib.sha256()
    beside = [path for path in target.parent.iterdir() if not path.name.startswith(".")]
    files = [file for path in beside for file in [path, *path.rglob("*")] if file.is_file()]
    if not target.exists():
        return ""
    for file in sorted(files):
        digest.update(f"{file.relative_to(target.parent)}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _staged(target: Path) -> int:
    """How many steps the next attempt finds done."""
    ledger = target.with_name(f".{target.name}.export") / "done.jsonl"
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


# Spoiled exports, which the tests must notice.


def _shown_at_once() -> None:
    """Files are written under their final names."""
    from pipelines.exports.staging import Staging

    def aside(self: Staging, name: str) -> Path:
        place = self.folder.parent / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def keep(self: Staging, name: str, place: Path, rows: int) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(place.read_bytes())
        kept(self, name, _copy(place), rows)

    kept = Staging._keep
    Staging._aside, Staging._keep = aside, keep  # type: ignore[method-assign]


def _copy(place: Path) -> Path:
    other = place.with_name(f".{place.name}.copy")
    other.write_bytes(place.read_bytes())
    return other


def _half_is_taken() -> None:
    """A step is noted before its files are written, and nobody looks at their hashes."""
    from pipelines.exports.staging import Finished, Made, Staging

    def make(self: Staging, step: str, names: tuple[str, ...], write: Any) -> Made:
        if step in self.steps:
            return self.steps[step]
        for name in names:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).touch()
            self.files[name] = Finished(name, 0, 0, "")
        self._note(step, names, Made(dict.fromkeys(names, 0)))
        return made(self, f"{step} again", names, write)

    made = Staging.make
    Staging.make = make  # type: ignore[method-assign]
    Staging._is_whole = lambda self, each: (self.folder / each.name).exists()  # type: ignore[method-assign]


_SPOILERS: dict[str, Callable[[], None]] = {
    "shown at once": _shown_at_once,
    "half is taken": _half_is_taken,
}

if __name__ == "__main__":
    main()
