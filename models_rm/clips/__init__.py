"""From files to frames: decoding, start images, and frames that are kept on disk."""
