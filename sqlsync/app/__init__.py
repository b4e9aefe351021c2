"""The one place that introduces the rooms to each other.

A room is imported where it is wired, so that a small command loads little.
"""
