"""Each member that the reference describes is held to what it says there.

A body of every entity that can be written; then each member for itself is left out, made too
long, given a value that is none, or pointed at what does not exist.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from sqlsync.simulators.quickbooks.entities import NOT_ASKED, entities
from sqlsync.simulators.quickbooks.faults import Fault

FILE = Path(__file__).parents[5] / "shared" / "reference" / "quickbooks" / "objects.yaml"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason=f"NOT CHECKED: {FILE} is missing")

BANK, CARD, RECEIVABLES, PAYABLES, RENT = (
    {"value": number} for number in ("35", "42", "84", "33", "61")
)
NOBODY = "99999999"


@cache
def reference() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(FILE.read_text(), yaml.CSafeLoader)["objects"]
    return found


def ref(record: dict[str, Any]) -> dict[str, str]:
    return {"value": record["Id"]}


def row(kind: str, amount: int = 10, **detail: Any) -> dict[str, Any]:
    return {"Amount": amount, "DetailType": kind, kind: detail}


def cost() -> dict[str, Any]:
    return row("AccountBasedExpenseLineDetail", AccountRef=RENT)


def bodies(world: Any, sale: Any) -> dict[str, dict[str, Any]]:
    """A body that each entity takes, with what it refers to made before."""
    customer = ref(world.customer())
    vendor = ref(world.write("Vendor", DisplayName="Brandt Frames"))
    staff = ref(world.write("Employee", GivenName="Nia", FamilyName="Falk"))
    order = {"VendorRef": vendor, "APAccountRef": PAYABLES, "Line": [cost()]}
    bill = world.write("Bill", VendorRef=vendor, Line=[cost()])
    invoice = world.write("Invoice", CustomerRef=customer, Line=[sale(10)])
    paid = world.write("Payment", CustomerRef=customer, TotalAmt=5)
    form = {"CustomerRef": customer, "Line": [sale(10), row("DiscountLineDetail", 1)]}
    name = {
        "Title": "Ms",
        "GivenName": "Ada",
        "MiddleName": "B",
        "FamilyName": "Cole",
        "Suffix": "Jr",
    }
    posting = [
        row("JournalEntryLineDetail", PostingType="Debit", AccountRef=RENT),
        row(
            "JournalEntryLineDetail",
            PostingType="Credit",
            AccountRef=RECEIVABLES,
            Entity={"Type": "Customer", "EntityRef": customer},
        ),
    ]
    link = {"TxnId": paid["Id"], "TxnType": "Payment", "TxnLineId": "0"}
    return {
        "Account": {"Name": "Fuel", "AccountType": "Expense", "AcctNum": "610"},
        "Attachable": {
            "Note": "A note",
            "AttachableRef": [{"EntityRef": {**customer, "type": "Customer"}}],
        },
        "Bill": {
            "VendorRef": vendor,
            "Line": [cost(), row("ItemBasedExpenseLineDetail", ItemRef={"value": "1"})],
            "LinkedTxn": [
                {"TxnId": world.write("PurchaseOrder", **order)["Id"], "TxnType": "PurchaseOrder"}
            ],
        },
        "BillPayment": {
            "VendorRef": vendor,
            "TotalAmt": 5,
            "PayType": "Check",
            "CheckPayment": {"BankAccountRef": BANK},
            "Line": [{"Amount": 5, "LinkedTxn": [{"TxnId": bill["Id"], "TxnType": "Bill"}]}],
        },
        "Budget": {
            "Name": "2027",
            "StartDate": "2027-01-01",
            "EndDate": "2027-12-31",
            "BudgetDetail": [{"BudgetDate": "2027-01-01", "Amount": 5, "AccountRef": RENT}],
        },
        "Class": {"Name": "North"},
        "CreditMemo": form,
        "CreditCardPayment": {"CreditCardAccountRef": CARD, "BankAccountRef": BANK, "Amount": 3},
        "Customer": {
            "DisplayName": "A Cole",
            **name,
            "Balance": 10,
            "OpenBalanceDate": "2026-01-01",
        },
        "Department": {"Name": "East"},
        "Deposit": {
            "DepositToAccountRef": BANK,
            "Line": [{"Amount": 5, "LinkedTxn": [link]}, row("DepositLineDetail", AccountRef=RENT)],
            "CashBack": {"AccountRef": {"value": "35"}, "Amount": 1},
        },
        "Employee": {**name, "DisplayName": "E Cole"},
        "Estimate": form,
        "Invoice": form,
        "Item": {"Name": "Bell", "Type": "Service", "IncomeAccountRef": {"value": "79"}},
        "JournalEntry": {"Line": posting},
        "Payment": {
            "CustomerRef": customer,
            "TotalAmt": 5,
            "Line": [{"Amount": 5, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}],
        },
        "PaymentMethod": {"Name": "Barter"},
        "Purchase": {
            "AccountRef": BANK,
            "PaymentType": "Cash",
            "Line": [cost()],
            "EntityRef": {**vendor, "type": "Vendor"},
        },
        "PurchaseOrder": order,
        "RefundReceipt": {"DepositToAccountRef": BANK, **form},
        "SalesReceipt": form,
        "TaxAgency": {"DisplayName": "The City"},
        "Term": {"Name": "In a week", "DueDays": 7},
        "TimeActivity": {"NameOf": "Employee", "EmployeeRef": staff, "Hours": 2},
        "Transfer": {"FromAccountRef": BANK, "ToAccountRef": {"value": "4"}, "Amount": 3},
        "Vendor": {**name, "DisplayName": "V Cole"},
        "VendorCredit": {"VendorRef": vendor, "Line": [cost()]},
    }


def members(entity: str) -> Iterator[dict[str, Any]]:
    yield from reference()["Exchangerate" if entity == "ExchangeRate" else entity]["fields"]


def holders(body: dict[str, Any], path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Each object of the body that has the member, and the member's own name."""
    *above, last = path.removesuffix("[]").split(".")
    found = [body]
    for name in above:
        inner = [holder.get(name.removesuffix("[]")) for holder in found]
        found = []
        for value in inner:
            found += value if isinstance(value, list) else [value] if value else []
    yield from ((holder, last) for holder in found)


def refused(world: Any, entity: str, body: dict[str, Any]) -> str:
    """The code of the refusal; nothing is left of it. "" where the body is taken."""
    try:
        world.write(entity, **body)
    except Fault as fault:
        return fault.code
    return ""


WRONG = {  # a value that is none, and what it is refused with
    "boolean": "2230",
    "date": "2060",
    "datetime": "2060",
    "decimal": "2090",
    "enum": "2170",
    "integer": "2090",
}
# No list of these is to be had through the API, so that any value may be right.
FREE_REFERENCES = ("PriceLevelRef", "ShipMethodRef", "PayrollItemRef")


def test_each_member_is_held_to_what_the_reference_says(world: Any, make_sale: Any) -> None:
    wrong: list[str] = []
    for entity, body in bodies(world, make_sale).items():
        for member in members(entity):
            name, type = member["name"], member["type"]

            def tried(value: Any, place: int = 0, name: str = name, body: Any = body) -> str:
                changed = copy.deepcopy(body)
                holder, last = list(holders(changed, name))[place]
                if value is None:
                    del holder[last]
                else:
                    holder[last] = value
                return refused(world, entity, changed)  # noqa: B023 - called at once

            places = list(holders(body, name))
            if member.get("required_on_create") is True:
                held = [n for n, (holder, last) in enumerate(places) if last in holder]
                wrong += [f"{entity}.{name} is not asked for" for n in held if not tried(None, n)]
            if not places or member.get("read_only"):
                continue
            if type in WRONG and (code := tried("rubbish")) != WRONG[type]:
                wrong.append(f"{entity}.{name}: rubbish is answered with {code or 'success'}")
            longest = member.get("max_length") if type == "string" else None
            if longest and (code := tried("x" * (longest + 1))) != "2050":
                wrong.append(f"{entity}.{name}: too long is answered with {code or 'success'}")
            if type == "ref" and not name.endswith((*FREE_REFERENCES, "CurrencyRef")):
                holder, last = places[0]
                kind = {"type": holder[last]["type"]} if "type" in holder.get(last, ()) else {}
                if (code := tried({"value": NOBODY, **kind})) != "2500":
                    wrong.append(f"{entity}.{name}: nobody is answered with {code or 'success'}")
    assert wrong == []


def test_every_body_is_taken_and_every_member_is_known(world: Any, make_sale: Any) -> None:
    given = bodies(world, make_sale)
    for entity, body in given.items():
        known = {member["name"].split(".")[0].removesuffix("[]") for member in members(entity)}
        empty = dict.fromkeys(known - set(body) - {"Id", "SyncToken"}, None)
        assert refused(world, entity, {**empty, **body}) == "", entity
    assert set(given) >= {
        name for name, found in reference().items() if "create" in (found.get("can") or ())
    } - {"Batch", "TaxService", "CompanyCurrency", "JournalCode", "RecurringTransaction"}


def test_conditions_take_the_members_that_can_be_filtered_by(world: Any) -> None:
    values = {"boolean": "true", "date": "'2026-01-01'", "datetime": "'2026-01-01T00:00:00Z'"}
    wrong: list[str] = []
    for entity in entities():
        for member in members(entity) if entity not in NOT_ASKED else ():
            name, type = member["name"], member["type"]
            if "[" in name or type == "object":
                continue
            value = values.get(type, "'1'")
            try:
                world.query(f"select * from {entity} where {name} = {value}")
                taken = True
            except Fault as fault:
                taken = fault.code != "4001"
            if taken != bool(member.get("filterable")):
                wrong.append(f"{entity}.{name}")
    assert wrong == []
