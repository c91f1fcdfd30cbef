"""Started by measuring.official with the interpreter that has the official package, as a file.

It knows nothing of Tiebreak and needs nothing but the standard library and that package, whose own
Python may be as old as 3.8. `--probe PROTOCOL` says what is installed; `JOB.json` measures one
dimension in custom-input mode, the way that the package offers for videos of any prompts.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

PACKAGES = {"t2v": ["vbench"], "i2v": ["vbench", "vbench2_beta_i2v"]}


def probe(protocol: str) -> dict[str, Any]:
    missing = [name for name in PACKAGES[protocol] if importlib.util.find_spec(name) is None]
    cache = os.environ.get("VBENCH_CACHE_DIR") or str(Path.home() / ".cache" / "vbench")
    return {"missing": missing, "cache": cache}


def measure(job: dict[str, Any]) -> None:
    torch = importlib.import_module("torch")
    wanted = job["device"]
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(wanted)
    vbench = importlib.import_module("vbench")
    info = str(Path(vbench.__file__ or "").parent / "VBench_full_info.json")
    asked = {
        "name": job["name"],
        "dimension_list": [job["dimension"]],
        "local": True,  # weights from the cache folder; nothing is downloaded
        "read_frame": False,
        "mode": "custom_input",
        "imaging_quality_preprocessing_mode": "longer",
    }
    if job["protocol"] == "i2v":
        i2v = importlib.import_module("vbench2_beta_i2v")
        tool = i2v.VBenchI2V(device, info, job["output"])
        tool.evaluate(job["videos"], custom_image_folder=job["images"], **asked)
    else:
        tool = vbench.VBench(device, info, job["output"])
        tool.evaluate(job["videos"], prompt_list=job["prompts"], **asked)


def main(words: list[str]) -> int:
    if words[0] == "--probe":
        sys.stdout.write(json.dumps(probe(words[1])) + "\n")
        return 0
    job = json.loads(Path(words[0]).read_text(encoding="utf-8"))
    try:
        measure(job)
    except Exception as error:  # noqa: BLE001 - whatever it was, the run says it in a sentence
        traceback.print_exc()
        said = {"error": f"{type(error).__name__}: {error}"}
        Path(job["failure"]).write_text(json.dumps(said), encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
