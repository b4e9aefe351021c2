"""How far a journal entry may go from where it is: one table, used by SQL and by tests.

Pure. `sqlsync.writes.journal` puts `sources(target)` into the WHERE clause of every state
change, so that of two processes that want the same step only one takes it.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where an entry stands. The values are those of sqlsync.journal.state."""

    PLANNED = "planned"  # meant, nothing sent; a deferred step stays here until COMMIT
    SENT = "sent"  # the request may have gone out
    IN_DOUBT = "in_doubt"  # it went out and no answer came
    ACKNOWLEDGED = "acknowledged"  # the provider did it, and `answer` holds what it said
    MIRRORED = "mirrored"  # the mirror shows it, committed: the end of a good write
    REFUSED = "refused"  # the provider did not do it
    UNDOING = "undoing"  # is being compensated; stays so while the provider is down
    UNDONE = "undone"  # compensated
    PARKED = "parked"  # done, unwanted and beyond us: a person must look
    DROPPED = "dropped"  # never sent, no longer wanted


# from -> (to, why). A state that is absent is final.
TRANSITIONS: dict[State, tuple[tuple[State, str], ...]] = {
    State.PLANNED: (
        (State.SENT, "the request goes out next"),
        (State.DROPPED, "not wanted any more: refused before it, rolled back, or a crash"),
    ),
    State.SENT: (
        (State.ACKNOWLEDGED, "the provider did it"),
        (State.REFUSED, "the provider did not do it"),
        (State.IN_DOUBT, "no answer came"),
        (State.SENT, "stale, merged with the current version, sent once more"),
    ),
    State.IN_DOUBT: (
        (State.ACKNOWLEDGED, "the repeated call was answered: done"),
        (State.REFUSED, "the repeated call was answered: not done"),
    ),
    State.ACKNOWLEDGED: (
        (State.MIRRORED, "the client's transaction committed, its marker says so"),
        (State.UNDOING, "the client's transaction did not commit, or the statement failed"),
        (State.PARKED, "must be undone and has no inverse"),
    ),
    State.UNDOING: (
        (State.UNDONE, "the compensation was answered: done"),
        (State.PARKED, "somebody changed the record since, or the provider refuses"),
    ),
}

OPEN: tuple[State, ...] = tuple(TRANSITIONS)  # what recovery has to look at
# The same as SQL text: as literals, so that the partial index of open entries always serves.
OPEN_SQL = "(" + ", ".join(f"'{state.value}'" for state in OPEN) + ")"
FINAL: tuple[State, ...] = tuple(state for state in State if state not in TRANSITIONS)


def sources(target: State) -> tuple[State, ...]:
    """The states from which an entry may become `target`."""
    return tuple(
        source
        for source, targets in TRANSITIONS.items()
        if any(state is target for state, _ in targets)
    )


def table() -> str:
    """The transitions as text, one a line: for documents and for people."""
    lines = [
        f"{source.value:<13} -> {target.value:<13} {why}"
        for source, targets in TRANSITIONS.items()
        for target, why in targets
    ]
    return "\n".join([*lines, "final: " + ", ".join(state.value for state in FINAL)])
