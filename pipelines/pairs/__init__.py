"""Preference pairs: from people, from rewards, guarded against shortcuts, looked at.

The run that makes them is `pipelines.pairing`.
"""
