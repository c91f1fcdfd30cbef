"""Deny by default: the policy of every address, scopes, rates, the audit log.

The rules of the trade stand in `annotation.permissions`.
"""
