from __future__ import annotations

import pytest

from sqlsync.app.addresses import is_local, public_url
from sqlsync.settings import Address, Settings, WebSettings


def of(listen: str, public: str | None = None) -> Settings:
    return Settings(web=WebSettings(listen=Address.parse(listen), public_url=public))


def test_on_this_machine_browsers_are_sent_to_localhost_by_name() -> None:
    # Xero takes http://localhost in a redirect address, and not http://127.0.0.1.
    assert public_url(of("127.0.0.1:8787")) == "http://localhost:8787"
    found = public_url(of("127.0.0.1:0"), Address(host="127.0.0.1", port=4321))
    assert found == "http://localhost:4321"
    assert public_url(of("[::1]:8787")) == "http://[::1]:8787"


def test_a_public_address_is_taken_as_it_is() -> None:
    assert public_url(of("127.0.0.1:8787", "https://books.example")) == "https://books.example"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8787", True),
        ("http://127.0.0.1:8787", True),
        ("http://[::1]:8787", True),
        ("https://books.example", False),
        ("http://0.0.0.0:8787", False),
        ("http://localhost.evil.example", False),
    ],
)
def test_only_this_machines_own_addresses_are_local(url: str, expected: bool) -> None:
    assert is_local(url) is expected
