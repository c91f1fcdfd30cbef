"""The weight-free video autoencoder of the tiny generator.

It lives beside the generators, because a saved pipeline names the module of each of its parts and
models_align must be able to load that pipeline without the demo.
"""

from models_align.generators.dct_vae import DctVideoVAE, dct_matrix

__all__ = ["DctVideoVAE", "dct_matrix"]
