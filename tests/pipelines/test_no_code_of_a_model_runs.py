"""A model's own code never runs: no loader of the trainers trusts it (RELIABILITY S8)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("models_rm", "models_align", "demo", "formats", "pipelines", "annotation", "bench")
LOADERS = {"from_pretrained", "from_single_file"}
OPENS = {"trust_remote_code", "custom_pipeline", "custom_revision"}

_UNKNOWN = (ast.Call, ast.Attribute, ast.Subscript)  # whose entries come from elsewhere


def faults_of(code: str) -> list[str]:
    """What in this source would run the code of a model's repository."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            closed = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if keyword.arg in OPENS and not closed:
                found.append(f"line {node.lineno}: {keyword.arg}")
            loads = isinstance(node.func, ast.Attribute) and node.func.attr in LOADERS
            if keyword.arg is None and loads and isinstance(keyword.value, _UNKNOWN):
                found.append(f"line {node.lineno}: a loader takes entries of unknown names")
    return found


@pytest.mark.promise("S8", "A7")
def test_no_loader_trusts_it() -> None:
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(sources) > 300
    found = {str(path): faults_of(path.read_text(encoding="utf-8")) for path in sources}
    assert {path: faults for path, faults in found.items() if faults} == {}


@pytest.mark.mutant("S8")
@pytest.mark.parametrize(
    "code",
    [
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "load(name, trust_remote_code=config.trust)",
        "DiffusionPipeline.from_pretrained(name, custom_pipeline='x')",
        "AutoModel.from_pretrained(name, **json.load(file))",
    ],
)
def test_the_search_finds_one_that_does(code: str) -> None:
    assert faults_of(code)
