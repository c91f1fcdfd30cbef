"""What the docs site needs beyond Markdown; mkdocs calls these functions (mkdocs.yml, `hooks`).

The pages are read in two places: here and on a repository host. So nothing in them is of one place
only: formulas are `$…$`, and links lead to files. What lies outside docs/ is no page of the site;
such a link becomes the path as text.
"""

import html
import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import Final

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from openapidocs.mk.v3 import OpenAPIV3DocumentationHandler

ROOT: Final = Path(__file__).resolve().parent.parent
# Of the repository's first page of each: as a page of the site.
TAKEN_IN: Final = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
SCHEMA: Final = ROOT / "var" / "docs" / "openapi.json"
REST: Final = "rest.md"
_LINK: Final = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)\s]+)\)")
_CODE: Final = re.compile(r"```.*?```|~~~.*?~~~", re.DOTALL)
_INLINE: Final = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_BLOCK: Final = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for uri, name in TAKEN_IN.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=_from_root(text)))
    files.append(File.generated(config, REST, content=_rest()))
    return files


def _rest() -> str:
    """Every address with what it takes and gives, from the schema of the site's own code."""
    if not SCHEMA.exists():
        raise PluginError(f"{SCHEMA} is not there; `make docs` writes it before the pages")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return str(OpenAPIV3DocumentationHandler(schema, style="MKDOCS", source=str(SCHEMA)).write())


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Each decision is a page: the folder is their list."""
    folder = Path(config.docs_dir) / "decisions"
    pages = sorted(f"decisions/{path.name}" for path in folder.glob("*.md"))
    assert config.nav is not None
    config.nav.append({"Decisions": pages})
    return config


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    known = set(files.src_uris)

    def kept(match: re.Match[str]) -> str:
        target = match[2].partition("#")[0]
        return match[0] if _uri(page.file.src_uri, target) in known else _as_text(match, page)

    return _outside_code(markdown, lambda text: _LINK.sub(kept, text))


def on_page_content(content: str, page: Page, **_: object) -> str:
    """Formulas as MathML, which browsers draw without a script and readers read aloud."""
    content = _INLINE.sub(lambda found: _mathml(found[1], "inline", page), content)
    return _BLOCK.sub(lambda found: f"<div>{_mathml(found[1], 'block', page)}</div>", content)


def _mathml(formula: str, display: str, page: Page) -> str:
    text = html.unescape(formula).strip()
    try:
        return str(convert(text, display=display))
    except Exception as error:
        raise PluginError(f"{page.file.src_uri}: the formula {text!r} cannot be read") from error


def _uri(source: str, target: str) -> str:
    return os.path.normpath(PurePosixPath(source).parent / target)


def _as_text(match: re.Match[str], page: Page) -> str:
    """The words of the link, and the path where they do not say it."""
    words, target = match[1], match[2].partition("#")[0]
    path = os.path.normpath(PurePosixPath("docs", page.file.src_uri).parent / target)
    if not (ROOT / path).exists():
        raise PluginError(f"docs/{page.file.src_uri} links to {target}, which is not there")
    return words if PurePosixPath(path).name in words else f"{words} (`{path}`)"


def _from_root(text: str) -> str:
    """Links of a page that stands beside docs/, as from within it."""

    def moved(match: re.Match[str]) -> str:
        target = match[2]
        within = target.removeprefix("docs/") if target.startswith("docs/") else f"../{target}"
        return f"[{match[1]}]({within})"

    return _outside_code(text, lambda part: _LINK.sub(moved, part))


def _outside_code(text: str, change: object) -> str:
    assert callable(change)
    parts, at = [], 0
    for block in _CODE.finditer(text):
        parts += [change(text[at : block.start()]), block[0]]
        at = block.end()
    return "".join([*parts, change(text[at:])])
