"""Sealing tokens: keys, rotation, and the errors a person can act on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlsync.errors import ConfigError
from sqlsync.vault import Vault, new_key

KEY = new_key()


@given(st.text())
def test_what_was_sealed_opens_again(text: str) -> None:
    vault = Vault([KEY])
    assert vault.open(vault.seal(text)) == text


def test_sealed_text_does_not_show_the_text() -> None:
    assert b"refresh-token" not in Vault([KEY]).seal("refresh-token")


def test_an_old_key_still_opens_and_rotation_moves_to_the_new_one() -> None:
    old, new = new_key(), new_key()
    sealed = Vault([old]).seal("secret")
    both = Vault.from_text(f"{new}, {old}")
    assert both.open(sealed) == "secret"
    assert Vault([new]).open(both.rotate(sealed)) == "secret"


def test_a_malformed_key_is_named_by_its_place_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="Key 2 of 2") as caught:
        Vault([KEY, "tea pot"])
    assert "tea pot" not in str(caught.value)


@pytest.mark.parametrize("keys", [[], ["schlüssel"], [""]])
def test_keys_that_are_none_are_refused(keys: list[str]) -> None:
    with pytest.raises(ConfigError):
        Vault(keys)


def test_a_token_of_another_key_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="cannot be opened") as caught:
        Vault([new_key()]).open(Vault([KEY]).seal("x"))
    assert "secret_key" in (caught.value.hint or "")


@pytest.mark.parametrize("garbage", [b"", b"gAAAA", b"\x00\xff"])
def test_garbage_in_the_token_column_is_a_config_error(garbage: bytes) -> None:
    with pytest.raises(ConfigError):
        Vault([KEY]).open(garbage)


def test_a_vault_does_not_show_its_keys() -> None:
    assert KEY not in repr(Vault([KEY]))
