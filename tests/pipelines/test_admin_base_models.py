"""Base models: what an operator may register, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from pipelines.launching import resolve
from pipelines.models import BaseModel, RunInput

pytestmark = pytest.mark.django_db
COMMIT = "0123456789abcdef" * 2 + "01234567"


def _register(source: str, revision: str = "", role: str = "vlm") -> None:
    words = ["--role", role, "--source", source, "--revision", revision]
    call_command("register_base_model", "m", *words)


def test_a_public_id_is_pinned_to_a_commit() -> None:
    _register("Qwen/Qwen2-VL-2B-Instruct", COMMIT)
    model = BaseModel.objects.get()
    assert (model.source, model.revision) == ("Qwen/Qwen2-VL-2B-Instruct", COMMIT)


def test_trainers_are_told_the_commit_of_a_public_id_and_the_path_of_a_folder(
    tmp_path: Path,
) -> None:
    _register("Qwen/Qwen2-VL-2B-Instruct", COMMIT)
    row = RunInput(role="backbone", base_model=BaseModel.objects.get())
    assert resolve(row).path == f"Qwen/Qwen2-VL-2B-Instruct@{COMMIT}"
    BaseModel.objects.all().delete()
    _register(str(tmp_path), COMMIT)
    row = RunInput(role="backbone", base_model=BaseModel.objects.get())
    assert resolve(row).path == str(tmp_path)


def test_a_folder_carries_the_hash_of_its_manifest(tmp_path: Path) -> None:
    from formats.files import sha256_of

    (tmp_path / "manifest.json").write_text("{}")
    _register(str(tmp_path), role="generator")
    assert BaseModel.objects.get().sha256 == sha256_of(tmp_path / "manifest.json")


@pytest.mark.parametrize(
    ("source", "revision", "sentence"),
    [
        ("Qwen/Qwen2-VL-2B-Instruct", "main", "needs the commit"),
        ("Qwen/Qwen2-VL-2B-Instruct", "", "needs the commit"),
        ("Qwen/Qwen2-VL-2B-Instruct", "0123abc", "needs the commit"),
        ("https://example.org/x", COMMIT, "expected owner/name or an absolute folder"),
        ("../x", COMMIT, "expected owner/name or an absolute folder"),
        ("/no/such/folder", "", "there is no folder /no/such/folder"),
    ],
)
def test_a_bad_reference_is_refused(source: str, revision: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        _register(source, revision)
    assert not BaseModel.objects.exists()


def test_a_name_is_given_once(capsys: Any) -> None:
    _register("a/b", COMMIT)
    with pytest.raises(CommandError, match="there is a base model 'm' already"):
        _register("c/d", COMMIT)
