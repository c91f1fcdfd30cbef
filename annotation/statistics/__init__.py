"""Pure functions over votes as arrays, numpy alone.

The doors are `annotation.agreement` and `annotation.ranking`.
"""
