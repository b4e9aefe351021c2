"""The journal's states: one table, complete and without a way back from an end."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from sqlsync.writes.transitions import FINAL, OPEN, TRANSITIONS, State, sources, table


def test_every_state_is_open_or_final_and_never_both() -> None:
    assert set(OPEN) | set(FINAL) == set(State)
    assert not set(OPEN) & set(FINAL)


def test_the_database_knows_the_same_states() -> None:
    text = (files("schema") / "migrations" / "0001_control.sql").read_text()
    check = re.search(r"state text not null check \(state in \('planned'(.*?)\)\)", text, re.S)
    assert check is not None
    assert {"planned", *re.findall(r"'(\w+)'", check[1])} == {state.value for state in State}


def test_the_index_of_open_entries_covers_every_open_state() -> None:
    text = (files("schema") / "migrations" / "0001_control.sql").read_text()
    index = re.search(r"create index journal_open .*?where state in \((.*?)\)", text, re.S)
    assert index is not None
    assert set(re.findall(r"'(\w+)'", index[1])) == {state.value for state in OPEN}


@pytest.mark.parametrize("state", list(State))
def test_every_state_but_the_first_can_be_reached(state: State) -> None:
    reached = {State.PLANNED}
    while True:
        more = {t for s in reached for t, _ in TRANSITIONS.get(s, ())} - reached
        if not more:
            break
        reached |= more
    assert state in reached


@pytest.mark.parametrize("state", OPEN)
def test_every_open_state_can_come_to_an_end(state: State) -> None:
    seen, todo = {state}, [state]
    while todo:
        for target, _ in TRANSITIONS.get(todo.pop(), ()):
            if target not in seen:
                seen.add(target)
                todo.append(target)
    assert seen & set(FINAL)


def test_sources_is_the_table_read_backwards() -> None:
    assert sources(State.MIRRORED) == (State.ACKNOWLEDGED,)
    assert set(sources(State.ACKNOWLEDGED)) == {State.SENT, State.IN_DOUBT}
    assert set(sources(State.PARKED)) == {State.ACKNOWLEDGED, State.UNDOING}
    assert sources(State.PLANNED) == ()


def test_a_write_in_doubt_is_never_just_dropped() -> None:
    assert sources(State.DROPPED) == (State.PLANNED,)


def test_the_table_prints_a_line_for_each_transition(capsys: pytest.CaptureFixture[str]) -> None:
    print(table())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == sum(len(targets) for targets in TRANSITIONS.values()) + 1
    assert lines[-1] == "final: mirrored, refused, undone, parked, dropped"
    assert any(line.startswith("acknowledged  -> mirrored") for line in lines)
