"""Smaller pieces of the same work, for an attempt that follows one that ran out of memory.

`split` is that of `RunDir.split`: into how many pieces what used to be one forward goes. The sums
over a step stay what they were, so a run may be resumed with it.
"""


def more_parts(of: int, parts: int, split: int) -> int:
    """Equal parts of `of` things, at least `split` times as many as `parts`; one each at most."""
    if split == 1:
        return parts
    wanted = min(of, parts * split)
    return next(each for each in range(wanted, of + 1) if of % each == 0)


def smaller(batch: int, split: int) -> int:
    """Of what is taken at once, a share; never nothing."""
    return max(1, -(-batch // split))
