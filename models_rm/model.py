"""Names that moved to `models_rm.backbones`; to be imported from there."""

from models_rm.backbones.loading import empty_backbone, load_backbone
from models_rm.backbones.preparing import prepare_for_training

__all__ = ["empty_backbone", "load_backbone", "prepare_for_training"]
