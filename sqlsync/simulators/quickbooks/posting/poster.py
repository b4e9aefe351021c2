"""What one record posts: its entries and what they do to the stock.

One method a kind of form; forms that post nothing come back without entries. Amounts in a
foreign currency are posted at the form's own rate (home = amount x ExchangeRate); what a
payment settles is posted at the rate of what it pays, the difference being exchange gain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from sqlsync.simulators.quickbooks.owing import other_document, owed
from sqlsync.simulators.quickbooks.posting.chart import Chart
from sqlsync.simulators.quickbooks.posting.entries import UNIT, Entry, Move, Transaction
from sqlsync.simulators.quickbooks.posting.goods import Goods, number_of
from sqlsync.simulators.quickbooks.posting.lines import Lines, home, rate_of
from sqlsync.simulators.quickbooks.seeded import TAX_RATE, InvoiceSeed
from sqlsync.simulators.quickbooks.store import Books, Row
from sqlsync.simulators.quickbooks.values import Doc, to_cents

LABELS = {
    "Bill": "Bill",
    "CreditCardPayment": "Credit Card Payment",
    "CreditMemo": "Credit Memo",
    "Deposit": "Deposit",
    "Estimate": "Estimate",
    "Invoice": "Invoice",
    "JournalEntry": "Journal Entry",
    "Payment": "Payment",
    "PurchaseOrder": "Purchase Order",
    "RefundReceipt": "Refund",
    "ReimburseCharge": "Billable Expense Charge",
    "SalesReceipt": "Sales Receipt",
    "TaxPayment": "Sales Tax Payment",
    "TimeActivity": "Time Charge",
    "Transfer": "Transfer",
    "VendorCredit": "Vendor Credit",
}
KINDS = (*LABELS, "BillPayment", "Purchase")
NON_POSTING = ("Estimate", "PurchaseOrder", "TimeActivity", "ReimburseCharge")


class Poster:
    """Posts the records of one company, on its chart of accounts as it is now."""

    def __init__(
        self, books: Books, new_accounts: Iterable[Row] = (), new_items: Iterable[Row] = ()
    ) -> None:
        self.books = books
        self.chart = Chart(books, new_accounts)
        self.goods = Goods(books, self.chart, new_items)
        self._by_kind: dict[str, Callable[[Transaction, Doc], None]] = {
            "Invoice": self._sale,
            "SalesReceipt": self._sale,
            "CreditMemo": self._sale,
            "RefundReceipt": self._sale,
            "Bill": self._bought,
            "VendorCredit": self._bought,
            "Purchase": self._bought,
            "BillPayment": self._bill_payment,
            "CreditCardPayment": self._card_payment,
            "Transfer": self._transfer,
            "JournalEntry": self._journal,
            "Deposit": self._deposit,
            "TaxPayment": self._tax_payment,
        }

    def post(self, kind: str, row: Row) -> Transaction:
        """The record in the ledger."""
        if row.seed is not None and row.doc is None:
            return self._seeded(kind, row)
        doc = row.doc or {}
        found = Transaction(
            kind, _label(kind, doc), row, row.date or str(doc.get("PaymentDate") or "")
        )
        found.customer = number_of(doc.get("CustomerRef"))
        found.vendor = number_of(doc.get("VendorRef"))
        found.employee = number_of(doc.get("EmployeeRef"))
        payee = doc.get("EntityRef") or {}
        if payee:
            who = str(payee.get("type") or "Vendor").lower()
            setattr(found, who if who in ("customer", "employee") else "vendor", number_of(payee))
        found.department = number_of(doc.get("DepartmentRef"))
        found.klass = number_of(doc.get("ClassRef"))
        found.memo = str(doc.get("PrivateNote") or doc.get("Description") or "")
        found.posts = kind not in NON_POSTING
        if kind == "Payment":
            self._payment(found, doc)
        elif found.posts:
            self._by_kind[kind](found, doc)
        return found

    # -- sales -----------------------------------------------------------------------------

    def _seeded(self, kind: str, row: Row) -> Transaction:
        """A generated record, without making its document."""
        found = Transaction(kind, LABELS[kind], row, row.date, customer=row.party)
        receivables = self.chart.part("receivables")
        if kind == "Payment":
            money = self.chart.part("undeposited")
            found.entries = [Entry(money, row.total), Entry(receivables, -row.total, 1)]
            return found
        seed: InvoiceSeed = row.seed
        entries = [Entry(receivables, row.total)]
        subtotal = 0
        items, stocked = self.books.seed_items, self.goods.stocked
        lines = seed.lines
        for position in range(0, len(lines), 2):
            item, quantity = lines[position], lines[position + 1]
            facts = items[item]
            amount = facts.price * quantity
            subtotal += amount
            line = position // 2 + 1
            entries.append(
                Entry(facts.income, -amount, line, facts.description, item, quantity * UNIT)
            )
            if item in stocked:
                move = Move(row.date, 1, row.id, line, -quantity * UNIT, False, 0)
                found.moves.append((item, move))
        reduction = subtotal + seed.tax - row.total
        if reduction:
            entries.append(Entry(self.chart.part("discounts"), reduction, len(lines) // 2 + 1))
        if seed.tax:
            line = len(lines) // 2 + 2
            entries.append(Entry(self.chart.part("tax"), -seed.tax, line, tax_rate=int(TAX_RATE)))
        found.entries = entries
        return found

    def _sale(self, found: Transaction, doc: Doc) -> None:
        """Invoices and receipts credit income; credit memos and refunds do the opposite."""
        sign = -1 if found.kind in ("CreditMemo", "RefundReceipt") else 1
        rate = rate_of(doc)
        lines = Lines(self.goods, found, rate)
        lines.sale(doc, sign)
        total = home(found.row.total, rate) * sign
        if found.kind in ("SalesReceipt", "RefundReceipt"):
            own = self._money(doc)
        else:
            own = number_of(doc.get("ARAccountRef")) or self.chart.part("receivables")
        lines.settle(total)
        deposit = to_cents(doc.get("Deposit") or 0) if found.kind == "Invoice" else 0
        found.entries = [Entry(own, total - home(deposit, rate)), *lines.entries]
        if deposit:
            found.entries.append(Entry(self._money(doc), home(deposit, rate), len(lines.entries)))

    def _payment(self, found: Transaction, doc: Doc) -> None:
        row = found.row
        rate = rate_of(doc)
        receivables = number_of(doc.get("ARAccountRef")) or self.chart.part("receivables")
        total = home(row.total, rate)
        self._settlement(found, ("Invoice", "CreditMemo"), receivables, total, rate)
        found.entries.insert(0, Entry(self._money(doc), total))

    def _money(self, doc: Doc) -> int:
        return number_of(doc.get("DepositToAccountRef")) or self.chart.part("undeposited")

    def _settlement(
        self, found: Transaction, documents: tuple[str, str], own: int, total: int, rate: Decimal
    ) -> None:
        """The receivables' or payables' side of a payment, and gain or loss on exchange.

        documents: what it pays and what credits it. total: what was paid, home currency.
        """
        row, sign = found.row, 1 if found.kind == "Payment" else -1
        settled = home(row.open, rate)
        for number, cents in row.links:
            other, gets = self._settles(found.kind, documents, number)
            if rate_of(other.doc or {}) != 1:
                cents = dict(applied(other)).get(row.id, 0)
            settled += cents if gets else -cents
        found.entries.append(Entry(own, -settled * sign, 1))
        if total != settled:
            exchange = self.chart.part("exchange")
            found.entries.append(Entry(exchange, (settled - total) * sign, 2))

    def _settles(self, kind: str, documents: tuple[str, str], number: int) -> tuple[Row, bool]:
        """What a payment links, and whether it is paid by it (or used up, as a credit is)."""
        for name in documents:
            row = self.books.table(name).get(number)
            if row is not None:
                return row, name == documents[0]
        party = "Customer" if kind == "Payment" else "Vendor"
        other = other_document(self.books, party, number)
        if other is None:
            raise KeyError(number)
        _, table, row = other
        standing = owed(self.books, party, table.name, row.doc or {})
        return row, standing is None or standing.cents > 0

    # -- purchases -----------------------------------------------------------------------------

    def _bought(self, found: Transaction, doc: Doc) -> None:
        """Bills, expenses and cheques debit their rows; vendor and card credits the opposite."""
        back = found.kind == "VendorCredit" or (found.kind == "Purchase" and doc.get("Credit"))
        sign = -1 if back else 1
        rate = rate_of(doc)
        lines = Lines(self.goods, found, rate)
        lines.purchase(doc, sign)
        total = home(found.row.total, rate) * sign
        if found.kind == "Purchase":
            own = number_of(doc.get("AccountRef"))
        else:
            own = number_of(doc.get("APAccountRef")) or self.chart.part("payables")
        lines.settle(-total)
        found.entries = [Entry(own, -total), *lines.entries]

    def _bill_payment(self, found: Transaction, doc: Doc) -> None:
        how = doc.get("CheckPayment") or doc.get("CreditCardPayment") or {}
        money = number_of(how.get("BankAccountRef") or how.get("CCAccountRef"))
        payables = number_of(doc.get("APAccountRef")) or self.chart.part("payables")
        rate = rate_of(doc)
        total = home(found.row.total, rate)
        self._settlement(found, ("Bill", "VendorCredit"), payables, total, rate)
        found.entries.insert(0, Entry(money, -total))

    # -- money between accounts ----------------------------------------------------------------

    def _card_payment(self, found: Transaction, doc: Doc) -> None:
        cents = home(to_cents(doc.get("Amount") or 0), rate_of(doc))
        found.entries = [
            Entry(number_of(doc.get("BankAccountRef")), -cents),
            Entry(number_of(doc.get("CreditCardAccountRef")), cents, 1),
        ]

    def _transfer(self, found: Transaction, doc: Doc) -> None:
        cents = home(to_cents(doc.get("Amount") or 0), rate_of(doc))
        found.entries = [
            Entry(number_of(doc.get("FromAccountRef")), -cents),
            Entry(number_of(doc.get("ToAccountRef")), cents, 1),
        ]

    def _tax_payment(self, found: Transaction, doc: Doc) -> None:
        cents = to_cents(doc.get("PaymentAmount") or 0) * (-1 if doc.get("Refund") else 1)
        money = number_of(doc.get("PaymentAccountRef"))
        found.entries = [Entry(money, -cents), Entry(self.chart.part("tax"), cents, 1)]

    def _journal(self, found: Transaction, doc: Doc) -> None:
        lines = Lines(self.goods, found, rate_of(doc))
        lines.journal(doc)
        lines.settle(0)
        found.entries = lines.entries

    def _deposit(self, found: Transaction, doc: Doc) -> None:
        """What was held is moved to the bank; other rows credit their own account.

        What was held at another rate than the deposit's makes a gain or loss on exchange.
        """
        rate = rate_of(doc)
        lines = Lines(self.goods, found, rate)
        at_other_rates = False
        for line in doc.get("Line") or ():
            link = next(iter(line.get("LinkedTxn") or ()), None)
            if link is None:
                lines.deposited(line)
                continue
            account, held_rate = self._held(link)
            lines.add(account, -to_cents(line.get("Amount") or 0), line)
            if held_rate != rate:
                at_other_rates = True
                cents = home(-to_cents(line.get("Amount") or 0), held_rate)
                lines.entries[-1] = lines.entries[-1]._replace(cents=cents)
        back = doc.get("CashBack") or {}
        if back:
            lines.add(number_of(back.get("AccountRef")), to_cents(back.get("Amount") or 0), back)
        total = home(found.row.total, rate)
        if at_other_rates:
            lines.entries.append(Entry(self.chart.part("exchange"), 0, len(lines.entries) + 1))
        lines.settle(total)
        found.entries = [Entry(number_of(doc.get("DepositToAccountRef")), total), *lines.entries]

    def _held(self, link: Doc) -> tuple[int, Decimal]:
        """The account that holds what a deposit takes to the bank, and the rate it came at."""
        table = self.books.tables.get(str(link.get("TxnType")))
        number = str(link.get("TxnId") or "")
        held = table.get(int(number)) if table is not None and number.isdigit() else None
        doc = (held.doc or {}) if held is not None else {}
        account = number_of(doc.get("DepositToAccountRef")) or self.chart.part("undeposited")
        return account, rate_of(doc)


def applied(document: Row) -> list[tuple[int, int]]:
    """(payment, cents of the home currency) of what is linked to an invoice, bill or credit.

    Rounded so that what is fully paid is settled to the cent.
    """
    doc = document.doc or {}
    rate = rate_of(doc)
    if rate == 1:
        return list(document.links)
    found: list[tuple[int, int]] = []
    so_far = to_cents(doc.get("Deposit") or 0)
    for payment, cents in document.links:
        found.append((payment, home(so_far + cents, rate) - home(so_far, rate)))
        so_far += cents
    return found


def _label(kind: str, doc: Doc) -> str:
    if kind == "BillPayment":
        card = doc.get("PayType") == "CreditCard"
        return "Bill Payment (Credit Card)" if card else "Bill Payment (Check)"
    if kind == "Purchase":
        if doc.get("Credit"):
            return "Credit Card Credit"
        return {"Check": "Check", "CreditCard": "Credit Card Expense"}.get(
            str(doc.get("PaymentType")), "Expense"
        )
    return LABELS[kind]
