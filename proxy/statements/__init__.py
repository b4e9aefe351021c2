"""Reads SQL text: what may be a write to a mirrored table, and what its RETURNING shows.

The one door to pglast. It decides what to hold and extends RETURNING; it does not imitate
Postgres: what a statement does is found out by running and undoing it.
"""
