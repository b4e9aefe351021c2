"""A company's books after random business of every kind, some of it refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sqlsync.simulators.quickbooks.faults import Fault

Doc = dict[str, Any]
FIRST = date(2024, 11, 20)  # two changes of year lie before the worlds' today
DAYS = 480


class Business:
    """Does things at random to a world; what the service refuses is left undone."""

    def __init__(self, world: Any, random: Random) -> None:
        self.world = world
        self.random = random
        self.deeds: list[Callable[[], None]] = [
            *(self.sell, self.sell, self.sell_more, self.receive, self.receive, self.credit),
            *(self.buy, self.buy, self.pay_bill, self.spend, self.move, self.journal),
            *(self.deposit, self.take_back, self.change, self.count_stock, self.new_names),
            *(self.owe_by_entry, self.settle_entry, self.settle_entry, self.settle_entry),
        ]

    def run(self, deeds: int) -> None:
        for _ in range(deeds):
            try:
                self.random.choice(self.deeds)()
            except Fault:
                continue

    # -- choices ---------------------------------------------------------------------------

    def day(self) -> str:
        return (FIRST + timedelta(days=self.random.randrange(DAYS))).isoformat()

    def cents(self, most: int = 40000) -> Decimal:
        return Decimal(self.random.randrange(1, most)) / 100

    def some(self, entity: str) -> Doc | None:
        ids = self.world.books.table(entity).ids
        return self.world.read(entity, str(self.random.choice(ids))) if ids else None

    def ref(self, entity: str) -> Doc:
        rows = self.world.books.table(entity).rows.values()
        return {"value": str(self.random.choice([row.id for row in rows if row.active]))}

    def account(self, *kinds: str) -> Doc:
        rows = self.world.books.table("Account").rows.values()
        found = [row.id for row in rows if (row.doc or {}).get("AccountType") in kinds]
        return {"value": str(self.random.choice(found))}

    def klass(self) -> Doc:
        if self.random.random() < 0.6:
            return {}
        return {"ClassRef": self.ref("Class")}

    def head(self, **more: Any) -> Doc:
        place = {"DepartmentRef": self.ref("Department")} if self.random.random() < 0.4 else {}
        return {"TxnDate": self.day(), **place, **more}

    def sale_rows(self) -> list[Doc]:
        rows = []
        for _ in range(self.random.randrange(1, 4)):
            quantity, price = self.random.randrange(1, 9), self.cents(9000)
            detail = {"ItemRef": self.ref("Item"), "Qty": quantity, "UnitPrice": price}
            rows.append(
                {
                    "Amount": quantity * price,
                    "DetailType": "SalesItemLineDetail",
                    "SalesItemLineDetail": {
                        **detail,
                        **self.klass(),
                        "TaxCodeRef": {"value": self.random.choice(["TAX", "NON"])},
                    },
                }
            )
        if self.random.random() < 0.3:
            percent = {"PercentBased": True, "DiscountPercent": self.random.randrange(1, 60)}
            rows.append({"DetailType": "DiscountLineDetail", "DiscountLineDetail": percent})
        return rows

    def sale(self, entity: str, **more: Any) -> None:
        tax = (
            {"TxnTaxDetail": {"TxnTaxCodeRef": {"value": "2"}}}
            if self.random.random() < 0.5
            else {}
        )
        body = self.head(CustomerRef=self.ref("Customer"), Line=self.sale_rows(), **tax, **more)
        self.world.write(entity, **body)

    def cost_rows(self) -> list[Doc]:
        rows = []
        for _ in range(self.random.randrange(1, 4)):
            if self.random.random() < 0.6:
                kind = "ItemBasedExpenseLineDetail"
                quantity, price = self.random.randrange(1, 20), self.cents(6000)
                detail = {"ItemRef": self.ref("Item"), "Qty": quantity, "UnitPrice": price}
                amount = quantity * price
            else:
                kind, amount = "AccountBasedExpenseLineDetail", self.cents()
                detail = {"AccountRef": self.account("Expense", "Fixed Asset")}
                if self.random.random() < 0.3:
                    detail |= {"CustomerRef": self.ref("Customer"), "BillableStatus": "Billable"}
            rows.append({"Amount": amount, "DetailType": kind, kind: {**detail, **self.klass()}})
        return rows

    # -- deeds -------------------------------------------------------------------------------

    def sell(self) -> None:
        more = {"Deposit": self.cents(2000)} if self.random.random() < 0.15 else {}
        self.sale("Invoice", **more)

    def sell_more(self) -> None:
        entity = self.random.choice(["SalesReceipt", "SalesReceipt", "RefundReceipt"])
        self.sale(entity, DepositToAccountRef={"value": self.random.choice(["4", "35"])})

    def credit(self) -> None:
        if self.random.random() < 0.6:
            self.sale("CreditMemo")
        else:
            body = self.head(VendorRef=self.ref("Vendor"), Line=self.cost_rows())
            self.world.write("VendorCredit", **body)

    def receive(self) -> None:
        invoice = self.some("Invoice")
        if invoice is None:
            return
        whole = Decimal(invoice["Balance"])
        part = whole if self.random.random() < 0.6 else whole * self.random.randrange(1, 9) / 10
        part = part.quantize(Decimal("0.01"))
        rows = [{"Amount": part, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}]
        total = part + (self.cents(3000) if self.random.random() < 0.3 else 0)
        memo = self.some("CreditMemo") if self.random.random() < 0.4 else None
        if memo is not None and memo["CustomerRef"]["value"] == invoice["CustomerRef"]["value"]:
            used = min(part, Decimal(memo["Balance"]))
            link = {"TxnId": memo["Id"], "TxnType": "CreditMemo"}
            rows.append({"Amount": used, "LinkedTxn": [link]})
            total -= used
        who = {"value": invoice["CustomerRef"]["value"]}
        self.world.write("Payment", **self.head(CustomerRef=who, TotalAmt=total, Line=rows))

    def buy(self) -> None:
        body = self.head(VendorRef=self.ref("Vendor"), Line=self.cost_rows())
        self.world.write("Bill", **body)

    def pay_bill(self) -> None:
        bill = self.some("Bill")
        if bill is None or not bill["Balance"]:
            return
        part = (Decimal(bill["Balance"]) * self.random.choice([1, 1, Decimal("0.37")])).quantize(
            Decimal("0.01")
        )
        row = {"Amount": part, "LinkedTxn": [{"TxnId": bill["Id"], "TxnType": "Bill"}]}
        how = self.random.choice(
            [
                {"PayType": "Check", "CheckPayment": {"BankAccountRef": {"value": "35"}}},
                {"PayType": "CreditCard", "CreditCardPayment": {"CCAccountRef": {"value": "42"}}},
            ]
        )
        total = part + (self.cents(900) if self.random.random() < 0.2 else 0)
        body = self.head(VendorRef={"value": bill["VendorRef"]["value"]}, TotalAmt=total)
        self.world.write("BillPayment", **body, **how, Line=[row])

    def spend(self) -> None:
        kind, account = self.random.choice([("Cash", "35"), ("Check", "36"), ("CreditCard", "41")])
        payee = {"EntityRef": {**self.ref("Vendor"), "type": "Vendor"}}
        back = {"Credit": True} if kind == "CreditCard" and self.random.random() < 0.4 else {}
        body = self.head(PaymentType=kind, AccountRef={"value": account}, Line=self.cost_rows())
        if self.random.random() < 0.2:  # paid to a vendor in advance
            line = "AccountBasedExpenseLineDetail"
            detail = {"AccountRef": {"value": "33"}}
            body["Line"].append({"Amount": self.cents(), "DetailType": line, line: detail})
        self.world.write("Purchase", **body, **payee, **back)

    def move(self) -> None:
        if self.random.random() < 0.5:
            ends = {"FromAccountRef": {"value": "35"}, "ToAccountRef": {"value": "36"}}
            self.world.write("Transfer", TxnDate=self.day(), Amount=self.cents(), **ends)
        else:
            cards = {"CreditCardAccountRef": {"value": "42"}, "BankAccountRef": {"value": "35"}}
            self.world.write("CreditCardPayment", TxnDate=self.day(), Amount=self.cents(), **cards)

    def journal(self) -> None:
        amount = self.cents()

        def row(posting: str) -> Doc:
            detail: Doc = {
                "PostingType": posting,
                "AccountRef": self.ref("Account"),
                **self.klass(),
            }
            if detail["AccountRef"]["value"] == "84":
                detail["Entity"] = {"Type": "Customer", "EntityRef": self.ref("Customer")}
            if detail["AccountRef"]["value"] == "33":
                detail["Entity"] = {"Type": "Vendor", "EntityRef": self.ref("Vendor")}
            kind = "JournalEntryLineDetail"
            return {"Amount": amount, "DetailType": kind, kind: detail}

        self.world.write("JournalEntry", TxnDate=self.day(), Line=[row("Debit"), row("Credit")])

    def owe_by_entry(self) -> None:
        """A journal entry on receivables or payables, which payments can link."""
        number, kind = self.random.choice([("84", "Customer"), ("33", "Vendor")])
        amount, ways = self.cents(), ["Debit", "Credit"]
        self.random.shuffle(ways)
        named = {"Entity": {"Type": kind, "EntityRef": self.ref(kind)}}
        accounts = [{"value": number}, self.account("Expense")]
        line = "JournalEntryLineDetail"
        rows = [
            {
                "Amount": amount,
                "DetailType": line,
                line: {"PostingType": way, "AccountRef": account},
            }
            for way, account in zip(ways, accounts, strict=True)
        ]
        rows[0][line] |= named
        self.world.write("JournalEntry", TxnDate=self.day(), Line=rows)

    def settle_entry(self) -> None:
        """A journal entry or deposit is paid, or pays an invoice or bill of the same name."""
        kind = self.random.choice(["JournalEntry", "JournalEntry", "Deposit"])
        found = self.some(kind)
        for row in (found or {}).get("Line", ()):
            detail = row.get(row.get("DetailType")) or {}
            named = detail.get("Entity") or {}
            who = named.get("EntityRef") or named
            party = named.get("Type") or named.get("type")
            if found is None or party not in ("Customer", "Vendor"):
                continue
            share = self.random.choice([1, Decimal("0.4")])
            part = (Decimal(row["Amount"]) * share).quantize(Decimal("0.01"))
            owes = (detail.get("PostingType") == "Debit") == (party == "Customer")
            own, payment = (
                ("Invoice", "Payment") if party == "Customer" else ("Bill", "BillPayment")
            )
            lines = [{"Amount": part, "LinkedTxn": [{"TxnId": found["Id"], "TxnType": kind}]}]
            if not (owes or kind == "Deposit"):
                other = self.some(own)
                if other is None:
                    return
                link = {"TxnId": other["Id"], "TxnType": own}
                lines.append({"Amount": part, "LinkedTxn": [link]})
            body = {f"{party}Ref": {"value": who["value"]}, "Line": lines}
            if party == "Vendor":
                body |= {"PayType": "Check", "CheckPayment": {"BankAccountRef": {"value": "35"}}}
            self.world.write(payment, **self.head(**body, TotalAmt=part if len(lines) == 1 else 0))

    def deposit(self) -> None:
        rows: list[Doc] = []
        for entity in ("Payment", "SalesReceipt"):
            found = self.some(entity)
            if found is not None and found["TotalAmt"]:
                link = {"TxnId": found["Id"], "TxnType": entity, "TxnLineId": "0"}
                rows.append({"Amount": found["TotalAmt"], "LinkedTxn": [link]})
        detail = {"AccountRef": self.account("Other Income", "Equity"), **self.klass()}
        if self.random.random() < 0.3:  # money from somebody, not yet a payment
            number, kind = self.random.choice([("84", "Customer"), ("33", "Vendor")])
            detail["AccountRef"] = {"value": number}
            detail["Entity"] = {**self.ref(kind), "type": kind}
        rows.append(
            {"Amount": self.cents(), "DetailType": "DepositLineDetail", "DepositLineDetail": detail}
        )
        back = {}
        if self.random.random() < 0.3:
            back = {"CashBack": {"Amount": Decimal("0.01"), "AccountRef": {"value": "36"}}}
        to = {"DepositToAccountRef": {"value": "35"}}
        self.world.write("Deposit", TxnDate=self.day(), Line=rows, **to, **back)

    def take_back(self) -> None:
        entity = self.random.choice(
            [
                *("Invoice", "Payment", "CreditMemo", "SalesReceipt", "Bill", "BillPayment"),
                *("Purchase", "JournalEntry", "Deposit"),
            ]
        )
        found = self.some(entity)
        if found is not None:
            operation = self.random.choice(["void", "delete"])
            self.world.write(entity, operation, Id=found["Id"], SyncToken=found["SyncToken"])

    def change(self) -> None:
        entity = self.random.choice(["Invoice", "CreditMemo", "SalesReceipt", "Bill", "Purchase"])
        found = self.some(entity)
        if found is not None:
            sold = entity in ("Invoice", "CreditMemo", "SalesReceipt")
            rows = self.sale_rows() if sold else self.cost_rows()
            self.world.sparse(entity, found, Line=rows, TxnDate=self.day())

    def count_stock(self) -> None:
        item = self.some("Item")
        if item is not None and "QtyOnHand" in item:
            self.world.sparse("Item", item, QtyOnHand=self.random.randrange(60))

    def new_names(self) -> None:
        number = self.random.randrange(10**9)
        kind = self.random.randrange(4)
        if kind == 0:
            self.world.write(
                "Customer",
                DisplayName=f"C {number}",
                Balance=self.cents(),
                OpenBalanceDate=self.day(),
            )
        elif kind == 1:
            self.world.write("Vendor", DisplayName=f"V {number}")
        elif kind == 2:
            parent = {"SubAccount": True, "ParentRef": {"value": "66"}}
            body = {"Name": f"A {number}", "AccountType": "Expense"}
            self.world.write("Account", **body, **parent)
        else:
            refs = {"IncomeAccountRef": "79", "ExpenseAccountRef": "80", "AssetAccountRef": "81"}
            self.world.write(
                "Item",
                Name=f"I {number}",
                Type="Inventory",
                PurchaseCost=self.cents(900),
                QtyOnHand=self.random.randrange(9),
                TrackQtyOnHand=True,
                InvStartDate="2024-10-01",
                **{name: {"value": value} for name, value in refs.items()},
            )
