"""Prompt suites: kept, evaluated, and the clips and scores that come from elsewhere.

An evaluation of a suite is a chain of runs that `suites.evaluating` writes in one transaction.
"""
