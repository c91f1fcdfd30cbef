"""The command `tiebreak`: thin doors to the same functions. Results: stdout; bars: stderr."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tiebreak_client.client import Tiebreak
from tiebreak_client.errors import TiebreakError

Act = Callable[[Tiebreak, argparse.Namespace], None]
_FAILED: Final = 1
_INTERRUPTED: Final = 130


def main(words: Sequence[str] | None = None) -> int:
    """0 if it was done; 1 with one sentence if it was not."""
    given = _parser().parse_args(words)
    try:
        token = _token(given.token_file)
        with Tiebreak(given.url or "", token) as site:
            act: Act = given.act
            act(site, given)
    except (TiebreakError, LookupError, TimeoutError, OSError) as error:
        print(f"tiebreak: {error}", file=sys.stderr)  # noqa: T201 - a command prints
        return _FAILED
    except KeyboardInterrupt:
        print("tiebreak: stopped; what runs on the site goes on.", file=sys.stderr)  # noqa: T201
        return _INTERRUPTED
    return 0


def _token(file: Path | None) -> str:
    """Of a file or of TIEBREAK_TOKEN; never of the command line, which others can read."""
    return file.read_text(encoding="utf-8").strip() if file else ""


def _say(value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    try:
        print(text, flush=True)  # noqa: T201 - a command prints
    except BrokenPipeError:  # `tiebreak … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


# Campaigns.


def _campaigns(site: Tiebreak, _given: argparse.Namespace) -> None:
    for each in site.campaigns.all():
        _say(f"{each.id}\t{each.state}\t{each.done}/{each.total}\t{each.name}")


def _create(site: Tiebreak, given: argparse.Namespace) -> None:
    made = site.campaigns.create(given.name, given.dimensions, votes_wanted=given.votes)
    _say(str(made.id))


def _import(site: Tiebreak, given: argparse.Namespace) -> None:
    """A folder with its clips, or a table or an archive alone."""
    campaigns = site.campaigns
    load = campaigns.import_folder if given.path.is_dir() else campaigns.import_file
    _say(asdict(load(given.campaign, given.path)))


def _move_campaign(site: Tiebreak, given: argparse.Namespace) -> None:
    to = site.campaigns
    acts = {"open": to.open, "pause": to.pause, "close": to.close}
    _say(acts[given.command](given.campaign).state)


def _progress(site: Tiebreak, given: argparse.Namespace) -> None:
    _say(asdict(site.campaigns.progress(given.campaign)))


def _votes(site: Tiebreak, given: argparse.Namespace) -> None:
    if given.to:
        _say(str(site.campaigns.export(given.campaign, given.to, what=given.what)))
        return
    for row in site.campaigns.votes(given.campaign):
        _say(dict(row))


# Uploads, snapshots, exports.


def _upload(site: Tiebreak, given: argparse.Namespace) -> None:
    send = site.uploads.folder if given.path.is_dir() else site.uploads.file
    _say(send(given.path, name=given.name))


def _snapshot(site: Tiebreak, given: argparse.Namespace) -> None:
    _say(str(site.snapshots.take(given.campaign, poll=given.poll).id))


def _export(site: Tiebreak, given: argparse.Namespace) -> None:
    for path in site.snapshots.export(
        given.snapshot, given.to, format=given.format, media=given.media, poll=given.poll
    ):
        _say(str(path))


def _formats(site: Tiebreak, given: argparse.Namespace) -> None:
    for each in site.snapshots.formats(given.snapshot):
        _say(f"{each.name}\t{each.title}\t{' '.join(each.lost)}")


# Suites, evaluations, re-tests.


def _suites(site: Tiebreak, _given: argparse.Namespace) -> None:
    for each in site.suites.all():
        _say(f"{each.id}\t{each.name}\t{each.prompts} prompts\t{', '.join(each.judges)}")


def _import_suite(site: Tiebreak, given: argparse.Namespace) -> None:
    _say(asdict(site.suites.import_file(given.path, given.name, images=given.images)))


def _evaluate(site: Tiebreak, given: argparse.Namespace) -> None:
    said = _object(given.file)
    made = site.suites.evaluate(given.suite, said.get("inputs", {}), said.get("config"))
    _say(str(made.id))
    if given.wait:
        _say(asdict(site.suites.wait(made.id, poll=given.poll)))


def _retests(site: Tiebreak, _given: argparse.Namespace) -> None:
    for each in site.retests.all():
        _say(f"{each.id}\t{each.created_at:%Y-%m-%d}\t{each.name}")


def _retest(site: Tiebreak, given: argparse.Namespace) -> None:
    said = _object(given.file)
    made = site.retests.start(said.get("inputs", {}), said.get("config"))
    _say(str(made.id))
    if given.wait:
        _say(asdict(site.retests.wait(made.id, poll=given.poll)))


def _result(site: Tiebreak, given: argparse.Namespace) -> None:
    read = site.retests.count_now if given.count_now else site.retests.get
    _say(asdict(read(given.retest)))


def _reports(site: Tiebreak, given: argparse.Namespace) -> None:
    if given.report is None:
        for each in site.reports.all():
            _say(f"{each.id}\t{each.created_at:%Y-%m-%d}\t{each.recommendation}")
        return
    _say(asdict(site.reports.get(given.report)))


def _object(file: Path) -> dict[str, Any]:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TiebreakError(f"{file} is no JSON: {error}") from None
    if not isinstance(said, dict):
        raise TiebreakError(f"{file} must hold a JSON object.")
    return said


# Runs and artifacts.


def _runs(site: Tiebreak, given: argparse.Namespace) -> None:
    for each in site.runs.latest(kind=given.kind, state=given.state, limit=given.limit):
        _say(f"{each.id}\t{each.state}\t{each.percent}%\t{each.kind}\t{each.name}\t{each.words}")


def _start(site: Tiebreak, given: argparse.Namespace) -> None:
    """The file holds what POST /api/runs takes: config, inputs, preset, name …"""
    said = _object(given.file) if given.file else {}
    said.pop("kind", None)
    run = site.runs.start(given.kind, **said)
    _say(str(run.id))
    if given.wait:
        site.runs.wait(run.id, poll=given.poll)


def _wait(site: Tiebreak, given: argparse.Namespace) -> None:
    _say(site.runs.wait(given.run, timeout=given.timeout, poll=given.poll).state)


def _steer(site: Tiebreak, given: argparse.Namespace) -> None:
    acts = {
        "cancel": site.runs.cancel,
        "retry": site.runs.retry,
        "pause-run": site.runs.pause,
        "resume-run": site.runs.resume,
    }
    _say(acts[given.command](given.run).state)


def _log(site: Tiebreak, given: argparse.Namespace) -> None:
    if not given.follow:
        _say(site.runs.log(given.run).rstrip("\n"))
        return
    for block in site.runs.follow(given.run, poll=given.poll):
        _say(block.rstrip("\n"))


def _artifacts(site: Tiebreak, given: argparse.Namespace) -> None:
    for each in site.artifacts.all(kind=given.kind, run=given.run):
        _say(f"{each.id}\t{each.kind}\trun {each.run}\t{each.bytes}\t{each.name}")


def _download(site: Tiebreak, given: argparse.Namespace) -> None:
    for path in site.artifacts.download(given.artifact, given.to):
        _say(str(path))


# What the words are.


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tiebreak",
        description="A Tiebreak site from the shell. The address and the token come from"
        " TIEBREAK_URL and TIEBREAK_TOKEN.",
    )
    parser.add_argument("--url", help="the address of the site")
    parser.add_argument("--token-file", type=Path, help="a file that holds the token")
    commands = parser.add_subparsers(dest="command", required=True)
    _of_campaigns(commands)
    _of_data(commands)
    _of_runs(commands)
    _of_suites(commands)
    return parser


def _add(commands: Any, name: str, act: Act, title: str, *numbers: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=title, description=title)
    for number in numbers:
        parser.add_argument(number, type=int)
    parser.set_defaults(act=act)
    return parser


def _of_campaigns(commands: Any) -> None:
    _add(commands, "campaigns", _campaigns, "the campaigns that the token may see")
    create = _add(commands, "create", _create, "make a campaign; prints its id")
    create.add_argument("name")
    create.add_argument("--dimensions", default="videoalign", help="its dimension set")
    create.add_argument("--votes", type=int, default=3, help="votes per pair")
    load = _add(commands, "import", _import, "import a folder, a table or an archive", "campaign")
    load.add_argument("path", type=Path)
    for name in ("open", "pause", "close"):
        _add(commands, name, _move_campaign, f"{name} a campaign", "campaign")
    _add(commands, "progress", _progress, "how far a campaign is, as JSON", "campaign")
    votes = _add(commands, "votes", _votes, "every vote, as JSON lines or a file", "campaign")
    votes.add_argument("--to", type=Path, help="write a file")
    votes.add_argument("--what", default="votes", choices=["videoalign", "votes", "votes-parquet"])


def _of_data(commands: Any) -> None:
    upload = _add(commands, "upload", _upload, "send a file or folder; prints its path there")
    upload.add_argument("path", type=Path)
    upload.add_argument("--name", default="", help="under another name")
    _polled(_add(commands, "snapshot", _snapshot, "take a snapshot; prints its id", "campaign"))
    export = _polled(_add(commands, "export", _export, "a snapshot in a format", "snapshot"))
    export.add_argument("--format", default="parquet")
    export.add_argument("--media", default="paths", choices=["paths", "files"])
    export.add_argument("--to", type=Path, required=True, help="a folder")
    formats = _add(commands, "formats", _formats, "formats of exports, and what each loses")
    formats.add_argument("--snapshot", type=int)
    artifacts = _add(commands, "artifacts", _artifacts, "what runs have left")
    artifacts.add_argument("--kind")
    artifacts.add_argument("--run", type=int)
    download = _add(commands, "download", _download, "the files of an artifact", "artifact")
    download.add_argument("--to", type=Path, required=True, help="a folder")


def _of_runs(commands: Any) -> None:
    runs = _add(commands, "runs", _runs, "the latest runs")
    runs.add_argument("--kind")
    runs.add_argument("--state")
    runs.add_argument("--limit", type=int)
    start = _polled(_add(commands, "start", _start, "start a run; prints its id"))
    start.add_argument("kind")
    start.add_argument("--file", type=Path, help="JSON: config, inputs, preset, name …")
    start.add_argument("--wait", action="store_true")
    wait = _polled(_add(commands, "wait", _wait, "wait for a run, with a bar", "run"))
    wait.add_argument("--timeout", type=float, help="seconds")
    for name in ("cancel", "retry", "pause-run", "resume-run"):
        _add(commands, name, _steer, f"{name.removesuffix('-run')} a run", "run")
    log = _polled(_add(commands, "log", _log, "the end of a log; --follow: all of it", "run"))
    log.add_argument("--follow", action="store_true")


def _of_suites(commands: Any) -> None:
    _add(commands, "suites", _suites, "the suites of prompts")
    load = _add(commands, "import-suite", _import_suite, "import prompts as a suite")
    load.add_argument("path", type=Path)
    load.add_argument("--name", required=True)
    load.add_argument("--images", default="", help="an uploaded folder of reference images")
    evaluate = _add(commands, "evaluate", _evaluate, "evaluate on a suite; prints an id", "suite")
    retest = _add(commands, "retest", _retest, "start a human re-test; prints its id")
    for each in (evaluate, retest):
        each.add_argument("--file", type=Path, required=True, help="JSON: inputs, config")
        each.add_argument("--wait", action="store_true")
        _polled(each)
    _add(commands, "retests", _retests, "the latest human re-tests")
    reports = _add(commands, "reports", _reports, "reports, or what one concludes as JSON")
    reports.add_argument("report", type=int, nargs="?")
    result = _add(commands, "result", _result, "a re-test as JSON", "retest")
    result.add_argument("--count-now", action="store_true", help="with the votes that are there")


def _polled(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--poll", type=float, default=2.0, help="seconds between two looks")
    return parser
