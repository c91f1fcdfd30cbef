"""What is measured of clips without a model of ours: VBench, proxies. No Django, no torch."""
