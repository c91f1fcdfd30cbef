"""Vision-language backbones: one adapter per family, and what is done with any of them."""
