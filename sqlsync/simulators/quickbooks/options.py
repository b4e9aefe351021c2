"""How the simulated QuickBooks behaves where the documentation leaves it open.

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
    issuer: str | None = None  # of id_tokens, as the service calls itself; None: by its address
    auto_approve: bool = False  # the consent page answers by itself
    access_token_seconds: int = 3600
    refresh_token_seconds: int = 8_726_400  # 101 days, as the documentation's sample
    refresh_hard_seconds: int = 157_680_000  # five years
    rotate_after_seconds: int = 0  # a refresh returns a new token once the old is this old
    rotation_overlap_seconds: int = 0  # how long the old refresh token lives after a new one

    # -- what the company has chosen: kept in its Preferences, where clients see it ---------------
    multicurrency: bool = False  # cannot be switched off again
    book_close_date: date | None = None  # writes dated on or before are refused
    custom_transaction_numbers: bool = False  # true: DocNumber is only what was sent
    custom_purchase_numbers: bool = False  # the same for purchase orders and bill payments
    auto_apply_credit: bool = False  # a credit memo pays open invoices by itself, and is used up
    automated_sales_tax: bool = False  # the service picks the tax code of a taxable form

    # -- limits (None: not enforced) ----------------------------------------------------------
    requests_per_minute: int | None = None  # the service: 500 per company
    requests_per_second: int | None = None  # the service: 10 per company and app
    concurrent_requests: int | None = None  # the service: 10, in earlier words
    batches_per_minute: int | None = None  # the service: 40
    reads_per_month: int | None = None  # the service: 500,000 on the lowest tier
    throttle_status: int = 429  # 403 before 2017
    retry_after_header: bool = False  # the service sends none that can be relied on

    latency_seconds: float = 0.0  # before every answer of the data service
    clock_skew_seconds: float = 0.0  # ahead of this machine's clock, at the start

    # -- requests ----------------------------------------------------------------------------
    json_needs_accept: bool = True  # without Accept: application/json the answer is XML
    replay_refusals: bool = False  # a requestid also replays a refusal
    requestid_max: int = 50
    requestid_max_batch: int = 36
    batch_items_max: int = 30
    batch_objects_max: int = 1000  # in one answer, over all its queries
    batch_reversed: bool = False  # items are carried out in no order to be relied on

    # -- files -------------------------------------------------------------------------------
    file_bytes_max: int = 104_857_600
    file_endings: tuple[str, ...] = (
        *("ai", "csv", "doc", "docx", "eps", "gif", "jpeg", "jpg", "ods", "pdf", "png"),
        *("rtf", "tif", "txt", "xls", "xlsx", "xml"),
    )
    file_link_seconds: int = 900  # how long TempDownloadUri works after it was given out

    # -- writes ------------------------------------------------------------------------------
    sparse_null: str = "ignored"  # null in a sparse update: "ignored" | "clears"
    sparse_needs_refs: bool = False  # sparse updates must name customer, vendor or PaymentType
    sparse_merges_objects: bool = False  # a sent address is merged into the stored one
    full_update_keeps: tuple[str, ...] = ("Active", "CurrencyRef", "DocNumber", "TxnDate", "Type")
    currency_required: bool = True  # forms must say their currency where there are several
    company_name_is_enough: bool = False  # CompanyName alone names a customer or vendor
    deleted_suffix: str = " (deleted)"
    inactive_reference_code: str = "2500"  # "2500" | "610"
    enforce_line_types: bool = True  # detail types of other forms are refused
    allow_inactive_with_balance: bool = False
    balance_raises_customer_token: bool = False  # a payment raises the customer's SyncToken
    balance_touches_customer: bool = True  # … and its LastUpdatedTime
    merge_touches_forms: bool = True  # forms of a merged name show a new time and SyncToken
    balance_touches_account: bool = True  # a posting raises the account's LastUpdatedTime
    stock_touches_item: bool = True  # a sale raises its LastUpdatedTime
    rename_reaches_forms: bool = True  # CustomerRef.name on forms follows, without a new time
    closed_period_code: str = "6210"
    warn_duplicate_numbers: bool = True
    features_missing: tuple[str, ...] = ()  # entities the plan lacks ("Class"): fault 5030
    write_refused: str | None = None  # "6190": the subscription has ended, no write passes

    # -- queries and change data ---------------------------------------------------------------
    column_lists: bool = True  # select Id, DisplayName from …
    id_ranges: bool = False  # Id > '5' in a WHERE
    total_count_for: tuple[str, ...] = ("Invoice", "Payment")
    cdc_days: int = 30
    cdc_max: int = 1000
    cdc_drops: str = "newest"  # which changes are missing from a full answer: "newest" | "oldest"
    cdc_too_old_code: str | None = "2190"  # None: answered with what the look-back holds
    cdc_inactive: str = "record"  # deactivated names come as "record" or as "tombstone"

    # -- reports -----------------------------------------------------------------------------
    report_cells_max: int = 400_000
    report_too_large: str = "row"  # what is too much is cut off and a "row" says so | "fault"
    reports_by_country: bool = False  # those of other countries are refused

    # -- webhooks ----------------------------------------------------------------------------
    webhook_format: str = "cloudevents"  # | "classic"
    webhook_content_type: str = "application/json"
    webhook_group_seconds: float = 0.05  # changes within this span share a delivery
    webhook_retry_seconds: tuple[float, ...] = (10, 20, 30, 300, 1200, 7200, 14400, 21600)
    webhook_holds_back: bool = True  # later deliveries wait for the first to be acknowledged
    webhook_timeout_seconds: float = 3.0
    webhook_customer_on_balance: bool = True  # a payment also announces its customer
    webhook_deactivate_as_delete: bool = False
