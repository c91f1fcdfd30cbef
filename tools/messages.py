"""The texts of the pages and their translations: extracted, compiled, with nothing but Babel.

    python -m tools.messages update     read the source, bring locale/*/LC_MESSAGES/*.po up to date
    python -m tools.messages compile    make the .mo files that the site reads (set-up does it)

The .po files are the source and are committed, the .mo files are made from them and are not.
"""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir, extract_python
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from formats.dimensions import BUILT_IN

ROOT: Final = Path(__file__).resolve().parent.parent
LOCALE: Final = ROOT / "locale"
LANGUAGES: Final = ("zh_Hans", "ja", "ko")  # as folders; English is the source
# Where the texts of each catalog stand.
SOURCES: Final = {
    "django": [
        ("annotation/**.py", "python"),
        ("config/**.py", "python"),
        ("pipelines/**.py", "python"),
        ("templates/**.html", "tools.messages:extract_template"),
    ],
    "djangojs": [("static/js/**.js", "javascript")],
}
KEYWORDS: Final = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    # What annotators may be told by the doors (annotation/views/door.py): sentences without values.
    "Empty": None,
    "ForeignLease": None,
    "LeaseExpired": None,
    "NotAllowed": None,
    "NotFound": None,
    "VoteConflict": None,
    "PermissionDenied": None,
}


def extract_template(file: Any, keywords: Any, comment_tags: Any, options: Any) -> Iterator[Any]:
    """Django turns a template into calls of gettext between rows of X; Python can read those."""
    from django.utils.translation.template import templatize

    lines = templatize(file.read().decode()).splitlines()
    code = "\n".join(line.strip() for line in lines)  # indentation means nothing here
    return extract_python(io.BytesIO(code.encode()), keywords, comment_tags, options)


def extracted(domain: str) -> Catalog:
    """All texts that the source marks for this catalog."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    catalog = Catalog(project="Tiebreak", fuzzy=False)
    found = extract_from_dir(
        ROOT,
        SOURCES[domain],
        keywords=KEYWORDS,
        comment_tags=("Translators",),
        directory_filter=_is_source,
        strip_comment_tags=True,
    )
    for name, _line, message, comments, context in sorted(found, key=lambda each: each[:2]):
        catalog.add(message, None, [(name, None)], auto_comments=comments, context=context)
    if domain == "django":
        for text in texts_of_dimensions():
            catalog.add(text, None, [("formats/dimensions.py", None)])
    return catalog


def texts_of_dimensions() -> Iterator[str]:
    """What the built-in dimension sets ask; `formats` marks nothing, because it knows no Django."""
    for dimension_set in BUILT_IN.values():
        yield dimension_set.title
        for each in dimension_set.dimensions:
            yield from (each.title, each.question, *each.guideline)


def _is_source(folder: str | os.PathLike[str]) -> bool:
    name = Path(folder).name
    return not name.startswith(".") and name not in {"var", "vendor", "build", "node_modules"}


def path_of(language: str, domain: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"{domain}.po"


def read(language: str, domain: str) -> Catalog:
    with path_of(language, domain).open("rb") as file:
        return read_po(file, locale=language, domain=domain, abort_invalid=True)


def update(language: str, domain: str, template: Catalog) -> None:
    """Add what is new, drop what is gone, keep what is translated."""
    path = path_of(language, domain)
    known = (
        read(language, domain) if path.exists() else Catalog(locale=language, project="Tiebreak")
    )
    template.creation_date = known.creation_date  # a new run alone changes nothing
    known.update(template, no_fuzzy_matching=True)
    known.fuzzy = False
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, known, width=100, ignore_obsolete=True, include_lineno=False)


def compile_all() -> list[Path]:
    """Make each .mo file that is missing or older than its source; the ones made."""
    made = []
    for source in sorted(LOCALE.glob("*/LC_MESSAGES/*.po")):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns:
            continue
        with source.open("rb") as file:
            catalog = read_po(file, locale=source.parts[-3], abort_invalid=True)
        # Renamed into place: several test processes may start at once.
        unfinished = target.with_suffix(f".{os.getpid()}")
        with unfinished.open("wb") as file:
            write_mo(file, catalog)
        unfinished.replace(target)
        made.append(target)
    return made


def main() -> int:
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "compile":
        compile_all()
    elif command == "update":
        for domain in SOURCES:
            for language in LANGUAGES:
                update(language, domain, extracted(domain))
        compile_all()
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
