"""What a snapshot may hold, and so what a format can keep or lose."""

from enum import StrEnum


class Fact(StrEnum):
    """A value is how people read it, on pages and in docs/exporting.md."""

    LABELS = "labels A and B"
    TIES = "ties"
    INVALID = "invalid labels"
    UNDECIDED = "where people split"
    POSTERIOR = "posterior"
    SCORES = "mean scores"
    VOTES = "number of votes"
    JUDGEMENTS = "single votes"
    RELIABILITY = "how reliable people are"
    SINGLE = "clips scored alone"
    SPLIT = "split"
    PAIR_ID = "name of the pair"
    PROMPT = "prompt"
    IMAGE = "start image"
    CLIP = "path of a clip"
    SHA256 = "sha256 of a clip"
    FRAMES = "frame rate and count"
    GENERATOR = "generator"
    SEED = "seed"
    SOURCE = "votes or import"
    DIMENSIONS = "questions of the dimensions"


ALL = frozenset(Fact)
