"""How the simulated Xero behaves where the documentation leaves it open.

Every fact that could not be verified is one field here; its default is what is most likely.
Where a pessimistic reading costs a careful client nothing, the pessimistic one is the default.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(slots=True)
class Options:
    """Behaviour of one simulated service. May be changed while it runs (`/_control/options`)."""

    # -- OAuth ------------------------------------------------------------------------------
    client_id: str | None = None  # None: any client is accepted
    client_secret: str | None = None
    app_name: str = "Ledger Sync Demo"  # ProviderName of answers
    auto_approve: bool = False  # the consent page answers by itself, for all tenants
    refuse_loopback_redirects: bool = True  # http://127.0.0.1 is no redirect address
    broad_scopes: bool = False  # accounting.transactions and the like are still given
    access_token_seconds: int = 1800
    id_token_seconds: int = 300
    refresh_token_seconds: int = 5_184_000  # 60 days unused
    rotation_grace_seconds: int = 1800  # how long a used refresh token may be retried
    check_scopes: bool = True
    premium_journals: bool = True  # False: /Journals answers 401 as without the Advanced tier

    # -- limits: generous; the service has 60, 5000 (1000 on Starter), 5 and 10000 ---------------
    requests_per_minute: int = 60_000
    requests_per_day: int = 5_000_000
    concurrent_requests: int = 1_000
    app_requests_per_minute: int = 1_000_000
    clock_skew_seconds: float = 0.0  # ahead of this machine's clock, at the start
    latency_seconds: float = 0.0  # every call takes this long, so that calls overlap

    # -- requests ----------------------------------------------------------------------------
    json_needs_accept: bool = True  # without Accept: application/json the answer is XML
    idempotency_seconds: int = 360
    idempotency_key_max: int = 128
    high_volume_rows: int = 100_000  # an answer of more rows is refused
    modified_since_inclusive: bool = True  # the second itself belongs to the answer
    where_guid_needs_function: bool = True  # InvoiceID == "…" is refused, Guid("…") is meant
    order_ignores_paging_for: tuple[str, ...] = ()  # ("ManualJournals",) as an older report says
    deleted_accounts_listed: bool = False
    deleted_tax_rates_listed: bool = True
    body_bytes_max: int = 3_500_000

    # -- writes ------------------------------------------------------------------------------
    failed_bulk_keeps_good: bool = False  # the default mode stores the valid elements
    post_matches_bills_by_number: bool = False  # ACCPAY without id, by InvoiceNumber
    nested_contact_drops_persons: bool = True  # more than ContactID sent, persons left out
    unknown_line_id: str = "refused"  # a LineItemID nobody issued: "refused" | "new"
    unchanged_update_moves: bool = True  # UpdatedDateUTC of an update that changes nothing
    numbers_of_deleted_are_free: bool = True  # a DELETED document's number may be used again
    quote_needs_date: bool = True
    address_slots_merge: bool = True  # sending one slot leaves the others
    tax_rounding: str = "half_up"  # | "half_even"
    check_discount_kind: bool = True  # discounts on bills are refused
    allow_negative_stock: bool = False
    history_notes_refused: tuple[str, ...] = (
        "Payments",
        "Overpayments",
        "Prepayments",
        "ExpenseClaims",
        "Receipts",
    )
    period_lock_date: date | None = None  # documents dated on or before are refused
    end_of_year_lock_date: date | None = None

    # -- webhooks ----------------------------------------------------------------------------
    webhook_intent: bool = True  # a new address must first pass "intent to receive"
    webhook_intent_deliveries: int = 4  # every second one is signed wrongly
    webhook_strict_answer: bool = True  # the answer's body must be empty, without cookies
    webhook_payment: bool = False  # PAYMENT events, whose availability is unverified
    webhook_invoice_on_payment: bool = True
    webhook_content_type: str = "application/json"
    webhook_group_seconds: float = 0.05  # changes within this span share a delivery
    webhook_retry_seconds: tuple[float, ...] = (0, *(900,) * 96)  # at once, then for 24 hours
    webhook_holds_back: bool = False  # later deliveries wait for the first to be acknowledged
    webhook_timeout_seconds: float = 5.0
