"""Clips and pictures of strangers: opened in bounded processes, stored by content.

Doors that show them ask `watching` who may.
"""
