"""Whatever stands where weights should, nothing in it is ever run (RELIABILITY A7)."""

import ast
import pickle
import shutil
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from formats.errors import FormatError
from models_align import state as alignment_state
from models_align.errors import GeneratorNotFoundError
from models_align.generators.families import load_generator
from models_rm.backbones.loading import load_backbone
from models_rm.errors import BackboneMissingError, CheckpointMismatchError
from models_rm.released.torch_files import read_table
from models_rm.reward_models.weights import FILE, read_weights
from models_rm.training import state
from tests.hostile_pickles import FILES, MORE, Bomb
from tests.promises import Figures

ROOT = Path(__file__).parents[2]
PACKAGES = ("annotation", "bench", "config", "demo", "formats", "models_align", "models_rm",
            "pipelines", "tools")  # fmt: skip
Open = Callable[[Path, Path], Any]


def as_released(hostile: Path, _: Path) -> Any:
    return read_table(hostile)


def as_reward_model(hostile: Path, folder: Path) -> Any:
    shutil.copy(hostile, folder / FILE)
    return read_weights(folder, {}, {})


def as_state(hostile: Path, folder: Path) -> Any:
    shutil.copy(hostile, folder / "state.safetensors")
    (folder / "state.json").write_text(
        '{"schema": "reward_model_state/1", "progress": {}, "config": {}}'
    )
    return state.read(folder)


def as_alignment_state(hostile: Path, folder: Path) -> Any:
    shutil.copy(hostile, folder / alignment_state.FILE)
    (folder / "state.json").write_text(
        '{"schema": "alignment-state/2", "done_steps": 1, "config": {}}'
    )
    return alignment_state.read(folder)


LOADERS = (as_released, as_reward_model, as_state, as_alignment_state)
REFUSALS = (FormatError, CheckpointMismatchError)


@pytest.mark.promise("A7")
@pytest.mark.parametrize("name", [*FILES, *MORE])
def test_no_hostile_file_is_opened_by_any_reader(tmp_path: Path, name: str) -> None:
    canary, hostile = tmp_path / "it-ran", tmp_path / name
    hostile.write_bytes((FILES | MORE)[name](Bomb(canary)))
    for number, open_as in enumerate(LOADERS):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(REFUSALS) as refusal:
            open_as(hostile, folder)
        assert refusal.value.path is not None
        assert not canary.exists()


@pytest.mark.promise("A7")
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_backbone_of_pickled_weights_is_none(
    tmp_path: Path, backbone_folder: Callable[..., Path], name: str
) -> None:
    canary, folder = tmp_path / "it-ran", tmp_path / "backbone"
    shutil.copytree(backbone_folder("qwen2_vl"), folder)
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(FILES["model.pt"](Bomb(canary)))
    with pytest.raises(BackboneMissingError):
        load_backbone(str(folder), "float32")
    assert not canary.exists()


@pytest.mark.promise("A7")
@pytest.mark.parametrize("part", ["model_index.json", "config.json"])
def test_a_folder_that_brings_code_of_its_own_is_none(
    tmp_path: Path, backbone_folder: Callable[..., Path], part: str
) -> None:
    """Its code lies beside its weights, and the config asks for it."""
    canary, folder = tmp_path / "it-ran", tmp_path / "with-code"
    code = f"from pathlib import Path\nPath({str(canary)!r}).touch()\nclass Own: ...\n"
    if part == "config.json":
        shutil.copytree(backbone_folder("qwen2_vl"), folder)
        config = (folder / part).read_text()
        own = '"auto_map": {"AutoConfig": "own.Own", "AutoModelForImageTextToText": "own.Own"}'
        (folder / part).write_text(
            config.replace('"qwen2_vl"', '"own"', 1).replace("{", "{" + own + ",", 1)
        )
        (folder / "own.py").write_text(code)
        with pytest.raises(BackboneMissingError):
            load_backbone(str(folder), "float32")
    else:
        folder.mkdir()
        (folder / part).write_text('{"_class_name": ["own", "Own"], "_diffusers_version": "0.35"}')
        (folder / "own.py").write_text(code)
        with pytest.raises(GeneratorNotFoundError):
            load_generator(folder)
    assert not canary.exists()


@pytest.mark.mutant("A7")
@pytest.mark.parametrize("name", ["model.pkl", "model.joblib"])
def test_unpickling_them_would_run_them(tmp_path: Path, name: str) -> None:
    canary = tmp_path / "it-ran"
    pickle.loads(FILES[name](Bomb(canary)))
    assert canary.exists()


# Our own code.


def test_a_table_of_tensors_is_read_as_it_was_written(tmp_path: Path) -> None:
    shared = torch.randn(6, 4)
    linear = torch.nn.Linear(3, 2)
    table: dict[str, Any] = {
        "plain": torch.randn(3, 5),
        "half": torch.randn(7).half(),
        "bfloat": torch.randn(7).bfloat16(),
        "long": torch.arange(4),
        "bool": torch.tensor([True, False]),
        "turned": shared.T,
        "part": shared[2:4, 1:],
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        **linear.state_dict(),
    }
    for number, value in enumerate((table, OrderedDict(table), linear.state_dict())):
        path = tmp_path / f"{number}.pt"
        torch.save(value, path)
        found = read_table(path)
        assert found.keys() == value.keys()
        for name, tensor in value.items():
            assert found[name].dtype == tensor.dtype
            assert torch.equal(found[name], tensor.detach())


def test_numbers_that_two_tensors_share_are_read_once(tmp_path: Path) -> None:
    shared = torch.zeros(4)
    torch.save({"a": shared, "b": shared[:2]}, tmp_path / "a.pt")
    found = read_table(tmp_path / "a.pt")
    found["a"][0] = 7
    assert found["b"][0] == 7


@pytest.mark.parametrize("cut", [1, 100, 400])
def test_a_table_that_is_cut_off_is_none(tmp_path: Path, cut: int) -> None:
    torch.save({"a": torch.zeros(400)}, tmp_path / "a.pt")
    whole = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(whole[:-cut])
    with pytest.raises(CheckpointMismatchError, match=r"a\.pt: cannot be read"):
        read_table(tmp_path / "a.pt")


FORBIDDEN = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal",
             "jsonpickle"}  # fmt: skip
CALLS = {("torch", "load"), ("np", "load"), ("numpy", "load"), ("pd", "read_pickle"),
         ("pandas", "read_pickle"), ("yaml", "load")}  # fmt: skip


def offences(source: str) -> list[str]:
    """What opens pickles in a piece of code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names if each.name.split(".")[0] in FORBIDDEN]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN:
            found.append(node.module or "")
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in CALLS:
                found.append(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "trust_remote_code"):
            is_off = isinstance(node.value, ast.Constant) and node.value.value is False
            found += [] if is_off else [str(node.arg)]
    return found


@pytest.mark.promise("A7")
def test_no_code_of_ours_opens_a_pickle(figures: Figures) -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 300
    found = {str(path): wrong for path in files if (wrong := offences(path.read_text("utf-8")))}
    assert found == {}
    figures("A7", hostile_files=len(FILES), files_scanned=len(files), offences=0)


@pytest.mark.mutant("A7")
@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('x', weights_only=True)",
        "np.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(x, trust_remote_code=True)",
        "def f():\n    import joblib",
    ],
)
def test_the_scan_finds_what_it_is_for(code: str) -> None:
    assert offences(code)


def test_the_scan_leaves_tensors_alone() -> None:
    assert offences("import pickletools\nfrom safetensors.torch import save_file\n") == []
