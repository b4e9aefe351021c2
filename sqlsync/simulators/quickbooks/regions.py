"""Where a company is, and what follows: its home currency, and how it says tax.

In the US a row is taxed or not (`TAX`, `NON`) and the form's tax code gives the rate; elsewhere
each row names its tax code. Source: Intuit, "Manage sales tax for US / non-US locales".
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlsync.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Region:
    """currency: ISO 4217. tax: how a code, an agency and the tax itself are called there."""

    country: str
    currency: str
    tax_code: str
    agency: str
    tax: str  # "GST", in refusals

    @property
    def is_us(self) -> bool:
        return self.country == "US"


_AGENCY = "California Department of Tax and Fee Administration"
REGIONS = {
    region.country: region
    for region in (
        Region("US", "USD", "California", _AGENCY, "sales tax"),
        Region("GB", "GBP", "20.0% S", "HM Revenue & Customs (VAT)", "VAT"),
        Region("AU", "AUD", "GST", "Australian Taxation Office", "GST"),
        Region("CA", "CAD", "HST ON", "Canada Revenue Agency", "GST"),
    )
}


def region_of(country: str) -> Region:
    """Raises ConfigError for a country of which nothing is known."""
    found = REGIONS.get(country)
    if found is None:
        known = ", ".join(REGIONS)
        raise ConfigError(f"No simulated company can be in {country!r}, only in {known}.")
    return found
