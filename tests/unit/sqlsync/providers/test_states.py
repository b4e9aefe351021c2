from __future__ import annotations

import pytest

from sqlsync.providers.states import ACTIVE, TRANSITIONS, USABLE, ConnectionState, sources

S = ConnectionState


def test_every_state_can_be_reached_and_left() -> None:
    assert set(TRANSITIONS) == set(S)
    for state in S:
        assert sources(state), f"nothing leads to {state}"
        assert TRANSITIONS[state], f"nothing leads out of {state}"


def test_only_a_person_brings_a_disconnected_connection_back() -> None:
    assert [target for target, _ in TRANSITIONS[S.PENDING]] == [S.CONNECTED]
    for busy in (S.BACKFILLING, S.LIVE, S.NEEDS_REAUTH, S.PAUSED):
        assert S.PENDING not in sources(busy)


@pytest.mark.parametrize("state", [S.LIVE, S.BACKFILLING])
def test_the_sync_engine_wakes_neither_a_paused_nor_a_lost_connection(state: S) -> None:
    assert not {S.PAUSED, S.NEEDS_REAUTH, S.PENDING} & set(sources(state))


def test_whatever_may_be_used_may_lose_its_grant_and_be_disconnected() -> None:
    assert set(sources(S.NEEDS_REAUTH)) == set(USABLE)
    assert set(sources(S.PENDING)) == {*USABLE, S.NEEDS_REAUTH}
    assert set(ACTIVE) == set(USABLE) - {S.PAUSED}
