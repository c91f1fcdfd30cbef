"""A stand-in for the official package, with its signatures and its file formats, without weights.

`VBench.__init__`, `build_full_info_json`'s refusals and `evaluate` of vbench/__init__.py and
vbench2_beta_i2v/__init__.py are kept in shape: what the driver calls must be what the package has.
Values come from the length of the file names and prompts, so that tests can say what they must be.
"""

import subprocess
import sys
from pathlib import Path

TORCH = """
class device(str):
    pass
class cuda:
    @staticmethod
    def is_available():
        return False
"""

VBENCH = """
import json, os, re, sys, time
from pathlib import Path

__file_of_stand_in__ = True


def get_prompt_from_filename(path):
    prompt = Path(path).stem
    if re.search(r"-\\d+$", prompt):
        return re.sub(r"-\\d+$", "", prompt)
    return prompt


class VBench(object):
    def __init__(self, device, full_info_dir, output_path):
        assert isinstance(device, str) and device == "cpu", device
        self.device = device
        self.full_info_dir = full_info_dir
        self.output_path = output_path
        os.makedirs(self.output_path, exist_ok=True)

    def check_dimension_requires_extra_info(self, dimension_list):
        unsupported = set(dimension_list) & {"object_class", "multiple_objects", "scene",
            "appearance_style", "color", "spatial_relationship"}
        assert len(unsupported) == 0, f"dimensions : {unsupported} not supported for custom input"

    def build_custom_image_dict(self, directory):
        return {os.path.splitext(name)[0]: os.path.join(directory, name)
            for name in os.listdir(directory)
            if os.path.splitext(name)[1].lower() in (".jpg", ".jpeg", ".png")}

    def build_full_info_json(self, videos_path, name, dimension_list, prompt_list=[],
            special_str="", verbose=False, custom_image_folder=None, mode="vbench_standard",
            **kwargs):
        assert mode == "custom_input"
        self.check_dimension_requires_extra_info(dimension_list)
        rows = []
        images = self.build_custom_image_dict(custom_image_folder) if custom_image_folder else None
        for filename in sorted(os.listdir(videos_path)):
            if Path(filename).suffix.lower() not in (".mp4", ".gif"):
                continue
            row = {"prompt_en": get_prompt_from_filename(filename), "dimension": dimension_list,
                "video_list": [os.path.join(videos_path, filename)]}
            if images is not None:
                row["custom_image_path"] = images[get_prompt_from_filename(filename)]
            if prompt_list:
                assert len(prompt_list) >= 1
                row["prompt_en"] = prompt_list[filename]
            rows.append(row)
        path = os.path.join(self.output_path, name + "_full_info.json")
        with open(path, "w") as file:
            json.dump(rows, file)
        return path

    def evaluate(self, videos_path, name, prompt_list=[], dimension_list=None, local=False,
            read_frame=False, mode="vbench_standard", **kwargs):
        assert local is True
        assert kwargs == {"imaging_quality_preprocessing_mode": "longer"}, kwargs
        info = self.build_full_info_json(videos_path, name, dimension_list, prompt_list,
            mode=mode, **kwargs)
        self.save(info, name, dimension_list)

    def save(self, info, name, dimension_list):
        behaviour = os.environ.get("VBENCH_CACHE_DIR") + "/behaviour"
        what = open(behaviour).read().strip() if os.path.exists(behaviour) else ""
        with open(os.path.join(self.output_path, "starts.txt"), "a") as file:
            file.write(" ".join(dimension_list) + "\\n")
        print("measuring", dimension_list, file=sys.stderr)
        if what == "fail":
            raise RuntimeError("CUDA out of memory")
        if what == "hang":
            time.sleep(600)
        results = {}
        for dimension in dimension_list:
            rows = json.load(open(info))
            if what == "skip":
                rows = rows[1:]
            videos = [{"video_path": row["video_list"][0],
                "video_results": self.value(dimension, row)} for row in rows]
            mean = sum(each["video_results"] for each in videos) / len(videos)
            results[dimension] = [mean / 100 if dimension == "imaging_quality" else mean, videos]
        if what == "nan":
            results[dimension_list[0]][0] = float("nan")
        with open(os.path.join(self.output_path, name + "_eval_results.json"), "w") as file:
            json.dump(results, file, indent=4)

    def value(self, dimension, row):
        assert os.path.exists(row["video_list"][0])
        if dimension == "dynamic_degree":
            return len(row["prompt_en"]) > 8
        if "custom_image_path" in row:
            assert os.path.exists(row["custom_image_path"])
        return (70.0 if dimension == "imaging_quality" else 0.9) + len(row["prompt_en"]) / 1000
"""

I2V = """
from vbench import VBench


class VBenchI2V(VBench):
    def evaluate(self, videos_path, name, dimension_list=None, custom_image_folder=None,
            mode="vbench_standard", local=False, read_frame=False, resolution="1-1", **kwargs):
        assert local is True
        info = self.build_full_info_json(videos_path, name, dimension_list,
            custom_image_folder=custom_image_folder, mode=mode)
        self.save(info, name, dimension_list)
"""

WEIGHTS = (
    "dino_model/facebookresearch_dino_main/hubconf.py",
    "dino_model/dino_vitbase16_pretrain.pth",
    "clip_model/ViT-B-32.pt",
    "clip_model/ViT-L-14.pt",
    "aesthetic_model/emb_reader/sa_0_4_vit_l_14_linear.pth",
    "amt_model/amt-s.pth",
    "raft_model/models/raft-things.pth",
    "pyiqa_model/musiq_spaq_ckpt-358bb6af.pth",
    "models/dreamsim",
)


def installed(folder: Path, *, i2v: bool = True) -> Path:
    """An environment of its own that holds the stand-in. Gives its interpreter."""
    command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(command, check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name, text in {"torch": TORCH, "vbench": VBENCH, "vbench2_beta_i2v": I2V}.items():
        if name == "vbench2_beta_i2v" and not i2v:
            continue
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(text)
    return folder / "bin" / "python"


def weights(folder: Path) -> Path:
    """Files where the package looks for its weights; nobody opens them here."""
    for name in WEIGHTS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder
