"""Items: codes, prices, and the stock of tracked ones.

An item is tracked when it has an inventory asset account and a cost-of-goods account; its
quantity moves only through approved documents, at average cost.
Source: reference, "Accounts, tax rates, items, tracking".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlsync.simulators.xero import problems
from sqlsync.simulators.xero.chart import is_used
from sqlsync.simulators.xero.desk import Desk
from sqlsync.simulators.xero.fields import check
from sqlsync.simulators.xero.invoicing import APPROVED, is_sale
from sqlsync.simulators.xero.problems import Invalid
from sqlsync.simulators.xero.store import Key, Row
from sqlsync.simulators.xero.values import ZERO, Doc, fold, number, rounded

BULK_MAX = 500
NOTHING = Decimal("0.0000")


def item_keys(doc: Doc) -> list[Key]:
    return [("code", fold(doc["Code"]))]


def match_item(desk: Desk, body: Doc) -> Row | None:
    if body.get("ItemID"):
        return desk.need("Items", body["ItemID"])
    found = desk.books.table("Items").rows_of("code", fold(str(body.get("Code", ""))))
    return found[0] if found else None


def save_item(desk: Desk, body: Doc, row: Row | None) -> Row:
    check("Item", body)
    old = desk.doc("Items", row) if row else None
    code = body.get("Code") or (old or {}).get("Code")
    if not code:
        raise Invalid("Code must be specified.")
    taken = desk.books.table("Items").rows_of("code", fold(str(code)))
    if any(other is not row for other in taken):
        raise Invalid(problems.UNIQUE_CODE)
    doc: Doc = {"Code": str(code)}
    for name in ("Name", "Description", "PurchaseDescription", "InventoryAssetAccountCode"):
        value = body.get(name, (old or {}).get(name))
        if value:
            doc[name] = value
    doc.setdefault("Name", str(code)[:50])
    doc["PurchaseDetails"] = _details(desk, "PurchaseDetails", body, old)
    doc["SalesDetails"] = _details(desk, "SalesDetails", body, old)
    doc["IsSold"] = bool(body.get("IsSold", (old or {}).get("IsSold", True)))
    doc["IsPurchased"] = bool(body.get("IsPurchased", (old or {}).get("IsPurchased", True)))
    tracked = bool(doc.get("InventoryAssetAccountCode"))
    if tracked != bool(doc["PurchaseDetails"].get("COGSAccountCode")):
        raise Invalid("A tracked item needs InventoryAssetAccountCode and COGSAccountCode.")
    if tracked:
        _check_kind(desk, doc["InventoryAssetAccountCode"], "INVENTORY")
        _check_kind(desk, doc["PurchaseDetails"]["COGSAccountCode"], "DIRECTCOSTS")
        doc["PurchaseDetails"].pop("AccountCode", None)
    doc["IsTrackedAsInventory"] = tracked
    doc["QuantityOnHand"] = (old or {}).get("QuantityOnHand", NOTHING)
    doc["TotalCostPool"] = (old or {}).get("TotalCostPool", ZERO)
    if (
        old
        and tracked != old["IsTrackedAsInventory"]
        and is_used(desk, "ItemID", row.id if row else "")
    ):
        raise Invalid("Tracking cannot be changed for an item that is used on transactions.")
    if row is None:
        made = desk.unit.add("Items", doc)
        desk.unit.note(made.id, "Created", f"Received through the Xero API from {desk.app}")
        return made
    desk.unit.replace("Items", row, doc, moves=doc != old or desk.options.unchanged_update_moves)
    desk.unit.note(row.id, "Edited", "Changed through the Xero API.")
    return row


def _details(desk: Desk, name: str, body: Doc, old: Doc | None) -> Doc:
    kept: Doc = dict((old or {}).get(name, {}))
    for member, value in (body.get(name) or {}).items():
        if value in (None, ""):
            kept.pop(member, None)
        elif member == "UnitPrice":
            kept[member] = rounded(rounded(number(value) or ZERO, desk.unit_places), 4)
        else:
            kept[member] = value
    for member in ("AccountCode", "COGSAccountCode"):
        code = kept.get(member)
        if code and not desk.books.table("Accounts").ids_of("code", str(code)):
            raise Invalid(f"Account code '{code}' is not a valid code for this item.")
    if kept.get("TaxType"):
        desk.tax_rate(kept["TaxType"])
    return kept


def _check_kind(desk: Desk, code: Any, kind: str) -> None:
    rows = desk.books.table("Accounts").rows_of("code", str(code))
    if not rows or desk.doc("Accounts", rows[0])["Type"] != kind:
        raise Invalid(f"Account code '{code}' must be of type {kind}.")


def delete_item(desk: Desk, row: Row) -> None:
    doc = desk.doc("Items", row)
    if doc["IsTrackedAsInventory"] and is_used(desk, "ItemID", row.id):
        raise Invalid("Tracked items that are used on transactions cannot be deleted.")
    desk.unit.remove("Items", row)


# -- stock ---


def move_stock(desk: Desk, table: str, before: Doc | None, after: Doc) -> None:
    """After a document changed: moves the quantities of tracked items. Raises Invalid."""
    if table not in ("Invoices", "CreditNotes", "BankTransactions"):
        return
    old, new = _moved(desk, table, before), _moved(desk, table, after)
    if old == new:
        return
    for item_id in dict.fromkeys((*old, *new)):
        old_quantity, old_cost = old.get(item_id, (NOTHING, ZERO))
        quantity, cost = new.get(item_id, (NOTHING, ZERO))
        _book(desk, item_id, quantity - old_quantity, cost - old_cost)


def _moved(desk: Desk, table: str, doc: Doc | None) -> dict[str, tuple[Decimal, Decimal]]:
    """Item id -> quantity in (or out, negative) and the cost of what came in."""
    found: dict[str, tuple[Decimal, Decimal]] = {}
    if doc is None or doc["Status"] not in APPROVED:
        return found
    sells = is_sale(doc) != (table == "CreditNotes")
    for line in doc["LineItems"]:
        row = desk.books.row("Items", line["ItemID"]) if line.get("ItemID") else None
        if row is None or not desk.doc("Items", row)["IsTrackedAsInventory"]:
            continue
        quantity, cost = found.get(row.id, (NOTHING, ZERO))
        net = line["LineAmount"]
        if doc["LineAmountTypes"] == "Inclusive":
            net -= line["TaxAmount"]
        if sells:
            found[row.id] = (quantity - line["Quantity"], cost)
        else:
            found[row.id] = (quantity + line["Quantity"], cost + net)
    return found


def _book(desk: Desk, item_id: str, quantity: Decimal, cost: Decimal) -> None:
    row = desk.books.table("Items").rows[item_id]
    doc = desk.doc("Items", row)
    held, pool = doc["QuantityOnHand"], doc["TotalCostPool"]
    if not cost and quantity < 0 and held > 0:
        cost = rounded(pool * quantity / held)
    elif not cost and quantity > 0:
        average = pool / held if held > 0 else doc["PurchaseDetails"].get("UnitPrice", ZERO)
        cost = rounded(average * quantity)
    left = held + quantity
    may_be_short = desk.allow_backorders or desk.options.allow_negative_stock
    if left < 0 and quantity < 0 and not may_be_short:
        raise Invalid(
            f"The quantity of item '{doc['Code']}' exceeds the quantity on hand of "
            f"{held.normalize():f}."
        )
    new_pool = rounded(pool + cost) if left else ZERO
    desk.unit.replace(
        "Items", row, {**doc, "QuantityOnHand": rounded(left, 4), "TotalCostPool": new_pool}
    )
