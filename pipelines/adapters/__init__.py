"""Adapters for people: their cards and archives, and what their trainings show on pages."""
