"""The sections of docs/benchmarks.md on how fast alignment trains and what memory it takes."""

from collections.abc import Callable
from typing import Any, Final

Table = Callable[..., str]

NAMES: Final = {
    "ours": "ours, reference computed once",
    "ours_each_step": "ours, reference in each step",
    "public": "as the public script does it",
    "cached": "the same with latents and text cached",
}
WAYS: Final = {
    "adapter_off": "the same network, adapter off",
    "cached": "its errors were computed before",
    "copy": "a second full copy",
}


def align_speed(figures: dict[str, Any], table: Table) -> str:
    rows = [
        [
            NAMES[name],
            f"{each['steps_per_second']:.2f}",
            f"{each['step_seconds']:.3f}",
            f"{each['seconds']:.0f}",
            *(_times(figures, name, peer) for peer in ("public", "cached")),
            _interval(figures["wins"][name]),
        ]
        for name in NAMES
        for each in [figures["programs"][name]]
    ]
    head = ["program", "steps/s", "s in a step", "s in all", "× public (≥ 2, aim 4)",
            "× cached (≥ 1.1, aim 1.4)", "true win rate"]  # fmt: skip
    loads = [f"{each['load']:.1f}" for each in figures["programs"].values()]
    return (
        f"## Speed of alignment\n\n`make bench-align`: Flow-DPO on the demo world,"
        f" {figures['steps']} steps of {figures['config']['pairs_per_step']} pairs on"
        f" {figures['machine']['cores']} cores, medians of {figures['rounds']} rounds by turns"
        f" (load of the machine {', '.join(sorted(set(loads)))}). Steps per second count the loop"
        f" with the reference that is computed once ({figures['draws']} draws per pair); all"
        " seconds count loading and encoding too. The demo's autoencoder has no weights and costs"
        " next to nothing, so what is won against the script, which encodes in every step, is the"
        " least that can be won. Steps and draws were chosen with win rates of these worlds in"
        " sight; the rate is that of the demo over the longer run."
        f" Win rates: {figures['clips']} clips of {figures['prompts']}"
        f" held-out prompts, intervals over prompts.\n\n{table(head, rows)}\n\n"
        f"Win rate of ours less that of the peer, on the same clips:"
        f" {_differences(figures['differences'])}.\n{_gpu(figures.get('gpu'), table)}"
    )


def _times(figures: dict[str, Any], name: str, peer: str) -> str:
    ratio = figures["ratios"].get(f"{name} {peer}")
    return f"{ratio['loop']:.2f} ({ratio['seconds']:.2f} in all)" if ratio else ""


def _interval(found: dict[str, float]) -> str:
    return f"{found['mean']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def _differences(found: dict[str, dict[str, float]]) -> str:
    said = []
    for names, each in found.items():
        mine, peer = names.split()
        said.append(f"{NAMES[mine]} − {peer} {each['mean']:+.3f} [{each['low']:+.3f},"
                    f" {each['high']:+.3f}]")  # fmt: skip
    return "; ".join(said)


def _gpu(found: dict[str, Any] | None, table: Table) -> str:
    if found is None:
        return "\nThe Wan 2.1 1.3B shape is measured where there is a GPU; here was none.\n"
    rows = [
        [WAYS[way], f"{each['step_seconds']:.2f}", f"{each['peak'] / 2**30:.1f}"]
        for way, each in found["rows"].items()
    ]
    head = ["reference", "s in a step", "GiB"]
    return (
        f"\nWan 2.1 1.3B with random weights on a {found['device']}, one pair of"
        f" {' x '.join(map(str, found['latents']))} latents:\n\n{table(head, rows)}\n"
    )


def align_memory(figures: dict[str, Any], table: Table) -> str:
    rows = [
        [
            precision,
            WAYS[way],
            f"{each['peak'] / 2**20:,.0f}",
            "" if way == "copy" else f"{figures['ratios'][precision][way]:.3f}",
            f"{each['resident'] / 2**20:,.0f}",
        ]
        for precision in ("float32", "bfloat16")
        for way in WAYS
        for each in [figures["rows"][precision][way]]
    ]
    head = ["type", "reference", "MiB of tensors at the peak", "share of a copy (≤ 0.65, aim 0.58)",
            "MiB of the process"]  # fmt: skip
    one = figures["rows"]["float32"]["copy"]
    return (
        "## Memory of alignment\n\n`make bench-align`: two steps of Flow-DPO on the shape of Wan"
        f" 2.1 1.3B with {figures['layers']} of its 30 layers ({one['parameters'] / 1e6:,.0f} M"
        f" parameters, random; LoRA of {one['learning'] / 1e6:.0f} M), {figures['pairs']} pairs,"
        f" {figures['tokens']} tokens in all, gradient checkpointing. Counted is what torch's"
        " allocator hands out and takes back (memory events of torch.profiler), weights first.\n\n"
        f"{table(head, rows)}\n"
    )
