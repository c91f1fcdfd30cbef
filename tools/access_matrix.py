"""The access matrix of docs/access.md, written from the policies. A test walks the site by it.

`python -m tools.access_matrix` rewrites the table; what changes is for people to review.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import django

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "access.md"
BEGIN, END = "<!-- matrix -->", "<!-- /matrix -->"
HEAD = "| address | path | reads | acts | token reads | token acts | fresh log-in |"


def addresses() -> Iterator[tuple[str, str]]:
    """Every address of the site by name, with its path. The admin is a row of its own."""
    from django.urls import URLPattern, get_resolver

    def walk(resolver: object, spaces: tuple[str, ...], path: str) -> Iterator[tuple[str, str]]:
        for each in resolver.url_patterns:  # type: ignore[attr-defined]
            here = path + str(each.pattern)
            if isinstance(each, URLPattern):
                yield ":".join((*spaces, each.name or "")), here
            else:
                inside = (*spaces, each.namespace) if each.namespace else spaces
                yield from walk(each, inside, here)

    yield from walk(get_resolver(), (), "/")


def rows() -> list[str]:
    from annotation.access.policies import Rule, policy_of

    def who(rule: Rule | None) -> str:
        return "–" if rule is None else ", ".join(sorted(rule.who))

    def scope(rule: Rule | None) -> str:
        return f"`{rule.scope}`" if rule and rule.scope else "–"

    found: dict[str, str] = {}
    for name, path in addresses():
        policy = policy_of(name)
        if name.startswith("admin:") or name in found:
            continue
        if policy is None:
            raise SystemExit(f"{name} has no policy")
        sides = (("reads", policy.read), ("acts", policy.act))
        fresh = [word for word, rule in sides if rule and rule.fresh]
        cells = [
            f"`{name}`", f"`{path.replace('|', '&#124;')}`", who(policy.read), who(policy.act),
            scope(policy.read), scope(policy.act), ", ".join(fresh) or "–",
        ]  # fmt: skip
        found[name] = f"| {' | '.join(cells)} |"
    return [HEAD, "| --- | --- | --- | --- | --- | --- | --- |", *found.values()]


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text("\n".join([before + BEGIN, "", *rows(), "", END + after]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
