"""Write the table of formats in docs/exporting.md from the catalogue of the exports.

python -m tools.export_table
"""

import os
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[1] / "docs" / "exporting.md"
BEGIN: Final = "<!-- table of formats -->\n"
END: Final = "<!-- end of the table -->\n"


def table() -> str:
    """A row per fact of a snapshot, a column per format: yes, beside, or nothing."""
    from pipelines.exports.catalogue import FORMATS
    from pipelines.exports.facts import Fact

    rows = [["", *(f"`{name}`" for name in FORMATS)], ["---"] * (len(FORMATS) + 1)]
    for fact in Fact:
        words = [
            "yes" if fact in each.holds else "beside" if fact in each.beside else "–"
            for each in FORMATS.values()
        ]
        rows.append([fact.value, *words])
    remarks = [f"- `{each.name}`: {remark}" for each in FORMATS.values() for remark in each.remarks]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", "*Beside*: in a file next to the main one.", "", *remarks, ""])


def page_with(text: str, content: str) -> str:
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n{content}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8")


if __name__ == "__main__":
    main()
