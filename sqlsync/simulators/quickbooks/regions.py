"""Where a company is, and what follows: its home currency, and how it says tax.

In the US a row is taxed or not (`TAX`, `NON`) and the form's tax code gives the rate; elsewhere
each row names its tax code. Source: Intuit, "Manage sales tax for US / non-US locales".
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sqlsync.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Region:
    """currency: ISO 4217. tax_code, agency, tax: how they are called there.

    tax_permille: the rate of that code.
    """

    country: str
    currency: str
    tax_code: str
    tax_permille: int
    agency: str
    tax: str  # "GST", in refusals

    @property
    def tax_percent(self) -> Decimal | int:
        percent = Decimal(self.tax_permille) / 10
        return int(percent) if percent == int(percent) else percent

    @property
    def is_us(self) -> bool:
        return self.country == "US"


_AGENCY = "California Department of Tax and Fee Administration"
REGIONS = {
    region.country: region
    for region in (
        Region("US", "USD", "California", 77, _AGENCY, "sales tax"),
        Region("GB", "GBP", "20.0% S", 200, "HM Revenue & Customs (VAT)", "VAT"),
        Region("AU", "AUD", "GST", 100, "Australian Taxation Office", "GST"),
        Region("CA", "CAD", "HST ON", 130, "Canada Revenue Agency", "GST"),
    )
}


def region_of(country: str) -> Region:
    """Raises ConfigError for a country of which nothing is known."""
    found = REGIONS.get(country)
    if found is None:
        known = ", ".join(REGIONS)
        raise ConfigError(f"No simulated company can be in {country!r}, only in {known}.")
    return found
