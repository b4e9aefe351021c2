"""Generated customers, invoices and payments as JSON, made when asked for. Pure.

A seeded record is a handful of numbers in `Row.seed`; its text is assembled here from
templates at a few microseconds each, so a page of 1000 costs milliseconds and 200,000
invoices need no 400 MB. What copies a customer's address (forms) does so once.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlsync.simulators.quickbooks.names import (
    CITY,
    FAMILY,
    GIVEN,
    STREET,
    TERM_NAMES,
)
from sqlsync.simulators.quickbooks.regions import region_of
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.values import encode, money_text, timestamp

TAX_CODE, TAX_RATE = "2", "3"


class CustomerSeed(NamedTuple):
    given: int
    family: int
    is_company: bool
    house: int
    street: int
    city: int
    term: int
    taxable: bool


class InvoiceSeed(NamedTuple):
    due: str
    discount_percent: int
    tax: int  # cents
    lines: tuple[int, ...]  # item, quantity, item, quantity …


class PaymentSeed(NamedTuple):
    method: int


class ItemFacts(NamedTuple):
    """What seeded rows take from an item: price in cents, and JSON around the figures.

    income: the account it is sold to.
    """

    price: int
    head: str
    tail: str
    income: int
    description: str


def render(books: Books, entity: str, row: Row) -> bytes:
    if entity == "Invoice":
        return _invoice(books, row).encode()
    if entity == "Payment":
        return _payment(books, row).encode()
    if entity == "Customer":
        return _customer(books, row).encode()
    raise KeyError(entity)


def _currency(books: Books) -> str:
    return f'"CurrencyRef":{{"value":"{books.home["value"]}","name":"{books.home["name"]}"}}'


def _region(books: Books, seed: InvoiceSeed) -> str:
    """Outside the US a form says how tax stands in its amounts."""
    if books.country == "US":
        return ""
    return f'"GlobalTaxCalculation":"{"TaxExcluded" if seed.tax else "NotApplicable"}",'


def _text(value: str) -> str:
    return encode(value).decode()


def _head(row: Row) -> str:
    return (
        f'{{"domain":"QBO","sparse":false,"Id":"{row.id}","SyncToken":"{row.token}","MetaData":'
        f'{{"CreateTime":"{timestamp(row.created)}","LastUpdatedTime":"{timestamp(row.updated)}"}},'
    )


def _address(row_id: int, seed: CustomerSeed, label: int) -> str:
    city, state, postal, _ = CITY[seed.city]
    return (
        f'{{"Id":"{row_id * 2 + label}","Line1":"{seed.house} {STREET[seed.street]}",'
        f'"City":"{city}","CountrySubDivisionCode":"{state}","PostalCode":"{postal}"}}'
    )


def email_of(name: str, row_id: int) -> str:
    """The invented address of a generated name."""
    slug = "".join(c for c in name.lower() if c.isalnum())[:40]
    return f"{slug}{row_id}@mail.example"


def customer_form(books: Books, customer_id: int) -> str:
    """The members a seeded invoice copied from its customer, as JSON text."""
    found = books.forms.get(customer_id)
    if found is None:
        row = books.row("Customer", customer_id)
        seed: CustomerSeed = row.seed
        found = (
            f'"BillAddr":{_address(row.id, seed, 0)},"ShipAddr":{_address(row.id, seed, 1)},'
            f'"FreeFormAddress":false,"SalesTermRef":{{"value":"{seed.term}",'
            f'"name":"{TERM_NAMES[seed.term]}"}},"BillEmail":{{"Address":'
            f'"{email_of(_given_name(seed), row.id)}"}},'
        )
        books.forms[customer_id] = found
    return found


def _given_name(seed: CustomerSeed) -> str:
    return f"{GIVEN[seed.given]}.{FAMILY[seed.family]}"


def _customer(books: Books, row: Row) -> str:
    seed: CustomerSeed = row.seed
    name = _text(row.name)
    company = f'"CompanyName":{name},' if seed.is_company else ""
    city = CITY[seed.city]
    parent = f'"ParentRef":{{"value":"{row.parent}"}},"Level":1,' if row.parent else ""
    full = _text(books.full_name("Customer", row)) if row.parent else name
    with_jobs = books.balance_with_jobs(row)
    tax = f'"DefaultTaxCodeRef":{{"value":"{TAX_CODE}"}},' if seed.taxable else ""
    return (
        f'{_head(row)}"Taxable":{"true" if seed.taxable else "false"},'
        f'"BillAddr":{_address(row.id, seed, 0)},"ShipAddr":{_address(row.id, seed, 1)},'
        f'"Job":{"true" if row.parent else "false"},"BillWithParent":false,{parent}'
        f'"Balance":{money_text(row.open)},"BalanceWithJobs":{money_text(with_jobs)},'
        f'{_currency(books)},"PreferredDeliveryMethod":"Email","IsProject":false,"ClientEntityId":"0",'
        f'"GivenName":"{GIVEN[seed.given]}","FamilyName":"{FAMILY[seed.family]}",'
        f'"FullyQualifiedName":{full},{company}"DisplayName":{name},"PrintOnCheckName":{name},'
        f'"Active":{"true" if row.active else "false"},"V4IDPseudonym":"0021{row.id:012x}",'
        f'"PrimaryPhone":{{"FreeFormNumber":"({city[3]}) 555-{row.id % 10000:04d}"}},'
        f'"PrimaryEmailAddr":{{"Address":"{email_of(_given_name(seed), row.id)}"}},'
        f'{tax}"SalesTermRef":{{"value":"{seed.term}"}}}}'
    )


def invoice_lines(books: Books, seed: InvoiceSeed) -> str:
    parts: list[str] = []
    subtotal = 0
    lines = seed.lines
    for position in range(0, len(lines), 2):
        item = books.seed_items[lines[position]]
        quantity = lines[position + 1]
        amount = item.price * quantity
        subtotal += amount
        number = position // 2 + 1
        parts.append(
            f'{{"Id":"{number}","LineNum":{number},{item.head}{money_text(amount)}{item.tail}'
            f"{quantity}}}}}"
        )
    parts.append(
        f'{{"Amount":{money_text(subtotal)},"DetailType":"SubTotalLineDetail",'
        '"SubTotalLineDetail":{}}'
    )
    if seed.discount_percent:
        parts.append(
            f'{{"Amount":{money_text(discount_cents(subtotal, seed.discount_percent))},'
            '"DetailType":"DiscountLineDetail","DiscountLineDetail":{"PercentBased":true,'
            f'"DiscountPercent":{seed.discount_percent},"DiscountAccountRef":'
            '{"value":"86","name":"Discounts given"}}}'
        )
    if not seed.tax:
        tax = '{"TotalTax":0}'
    else:
        tax = (
            f'{{"TxnTaxCodeRef":{{"value":"{TAX_CODE}"}},"TotalTax":{money_text(seed.tax)},'
            f'"TaxLine":[{{"Amount":{money_text(seed.tax)},"DetailType":"TaxLineDetail",'
            f'"TaxLineDetail":{{"TaxRateRef":{{"value":"{TAX_RATE}"}},"PercentBased":true,'
            f'"TaxPercent":{region_of(books.country).tax_percent},"NetAmountTaxable":{money_text(subtotal)}}}}}]}}'
        )
    return f'"Line":[{",".join(parts)}],"TxnTaxDetail":{tax},'


def discount_cents(subtotal: int, percent: int) -> int:
    """Half a cent rounds up."""
    return (subtotal * percent + 50) // 100


def tax_cents(subtotal: int, permille: int) -> int:
    return (subtotal * permille + 500) // 1000


def _invoice(books: Books, row: Row) -> str:
    seed: InvoiceSeed = row.seed
    links = ",".join(f'{{"TxnId":"{paid}","TxnType":"Payment"}}' for paid, _ in row.links)
    return (
        f'{_head(row)}"AllowIPNPayment":false,"AllowOnlinePayment":false,'
        '"AllowOnlineCreditCardPayment":false,"AllowOnlineACHPayment":false,"CustomField":'
        '[{"DefinitionId":"1","Name":"Crew #","Type":"StringType"}],'
        f'"DocNumber":"{row.number}","TxnDate":"{row.date}",{_currency(books)},'
        f'"LinkedTxn":[{links}],'
        f"{_region(books, seed)}{invoice_lines(books, seed)}"
        f'"CustomerRef":{{"value":"{row.party}","name":'
        f'{_text(books.row("Customer", row.party).name)}}},"CustomerMemo":{{"value":'
        f'"Thank you for riding with us."}},{customer_form(books, row.party)}'
        f'"DueDate":"{seed.due}","TotalAmt":{money_text(row.total)},'
        '"ApplyTaxAfterDiscount":false,"PrintStatus":"NeedToPrint","EmailStatus":"NotSet",'
        f'"Balance":{money_text(row.open)}}}'
    )


_EX = (
    '{{"name":"{{http://schema.intuit.com/finance/v3}}NameValue","declaredType":'
    '"com.intuit.schema.finance.v3.NameValue","scope":"javax.xml.bind.JAXBElement$GlobalScope",'
    '"value":{{"Name":"{0}","Value":"{1}"}},"nil":false,"globalScope":true,'
    '"typeSubstituted":false}}'
)


def _payment(books: Books, row: Row) -> str:
    seed: PaymentSeed = row.seed
    lines: list[str] = []
    for invoice_id, cents in row.links:
        invoice = books.row("Invoice", invoice_id)
        facts = ",".join(
            (
                _EX.format("txnId", invoice_id),
                _EX.format("txnOpenBalance", f"{invoice.total // 100}.{invoice.total % 100:02d}"),
                _EX.format("txnReferenceNumber", _text(invoice.number or "")[1:-1]),
            )
        )
        lines.append(
            f'{{"Amount":{money_text(cents)},"LinkedTxn":[{{"TxnId":"{invoice_id}","TxnType":'
            f'"Invoice"}}],"LineEx":{{"any":[{facts}]}}}}'
        )
    return (
        f'{_head(row)}"CustomerRef":{{"value":"{row.party}","name":'
        f'{_text(books.row("Customer", row.party).name)}}},"DepositToAccountRef":{{"value":"4"}},'
        f'"PaymentMethodRef":{{"value":"{seed.method}"}},"PaymentRefNum":"{20000 + row.id}",'
        f'"TotalAmt":{money_text(row.total)},"UnappliedAmt":{money_text(row.open)},'
        f'"ProcessPayment":false,"TxnDate":"{row.date}",{_currency(books)},'
        f'"Line":[{",".join(lines)}]{_on_deposit(row)}}}'
    )


def _on_deposit(row: Row) -> str:
    if not row.deposit:
        return ""
    return f',"LinkedTxn":[{{"TxnId":"{row.deposit}","TxnType":"Deposit"}}]'
