"""What can be set on the simulated services, as a command line says it."""

from __future__ import annotations

from dataclasses import fields
from datetime import date

import pytest

from sqlsync.errors import ConfigError
from sqlsync.simulators.courier import Mischief
from sqlsync.simulators.knobs import read_options, text
from sqlsync.simulators.quickbooks.options import Options
from sqlsync.simulators.trouble import KINDS
from sqlsync.simulators.xero.options import Options as XeroOptions


def test_every_option_kind_of_trouble_and_mischief_is_explained() -> None:
    words = text()
    for field in (*fields(Options), *fields(XeroOptions)):
        assert f"    {field.name} = " in words, field.name
    for name in (*KINDS, *(field.name for field in fields(Mischief))):
        assert name in words, name


def test_options_are_read_by_their_type() -> None:
    found = read_options(
        [
            "book_close_date=2026-01-31",
            "multicurrency=true",
            "requests_per_second=10",
            "latency_seconds=0.5",
            "webhook_retry_seconds=1,2.5",
            "features_missing=Class,Department",
            "deleted_suffix= (gone)",
            "cdc_too_old_code=null",
        ]
    )
    assert found == {
        "book_close_date": date(2026, 1, 31),
        "multicurrency": True,
        "requests_per_second": 10,
        "latency_seconds": 0.5,
        "webhook_retry_seconds": (1.0, 2.5),
        "features_missing": ("Class", "Department"),
        "deleted_suffix": " (gone)",
        "cdc_too_old_code": None,
    }


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("colour=red", "no option of the simulated services is called 'colour'"),
        ("multicurrency", "called 'multicurrency'"),
        ("multicurrency=yes", "'yes' is no bool"),
        ("batch_items_max=true", "'true' is no int"),
        ("book_close_date=soon", "'soon' is no date | None"),
    ],
)
def test_what_cannot_be_set_is_named(pair: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_options([pair])
    assert words in str(caught.value)
