"""How well rewards predict what people said. Numpy and scipy only; sources: ML.md 3.

accuracy      with and without ties, thresholds, baselines
intervals     prompt-clustered bootstrap, for one model and for two on the same pairs
correlation   with mean 1-5 scores
reliability   NLL, Brier score, reliability curves, theta against the ties that were seen
gaps          reward differences on decided and on tied pairs, by generators
ceiling       one annotator against the others
"""

from models_rm.metrics.accuracy import (
    NotFiniteError,
    TieCalibration,
    accuracy_at,
    accuracy_with_ties,
    accuracy_without_ties,
    baselines,
    btt_threshold,
    share_above_chance,
)
from models_rm.metrics.ceiling import HumanCeiling, consensus_of, human_ceiling
from models_rm.metrics.correlation import kendall_tau_b, pearson, spearman, within_groups
from models_rm.metrics.gaps import by_generators, gap_histogram, tie_separation
from models_rm.metrics.intervals import (
    Comparison,
    Interval,
    at,
    clustered_interval,
    compare,
    resampled_accuracy_with_ties,
    resampled_accuracy_without_ties,
)
from models_rm.metrics.reliability import (
    brier_score,
    btt_log_probabilities,
    negative_log_likelihood,
    reliability,
    tie_fit,
    wilson,
)

__all__ = [
    "Comparison",
    "HumanCeiling",
    "Interval",
    "NotFiniteError",
    "TieCalibration",
    "accuracy_at",
    "accuracy_with_ties",
    "accuracy_without_ties",
    "at",
    "baselines",
    "brier_score",
    "btt_log_probabilities",
    "btt_threshold",
    "by_generators",
    "clustered_interval",
    "compare",
    "consensus_of",
    "gap_histogram",
    "human_ceiling",
    "kendall_tau_b",
    "negative_log_likelihood",
    "pearson",
    "reliability",
    "resampled_accuracy_with_ties",
    "resampled_accuracy_without_ties",
    "share_above_chance",
    "spearman",
    "tie_fit",
    "tie_separation",
    "wilson",
    "within_groups",
]
