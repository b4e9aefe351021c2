"""Answers have the shape of the reference's sample bodies: members, nesting, kinds of value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sqlsync.simulators.quickbooks import faults
from sqlsync.simulators.quickbooks.entities import WEBHOOKS, entities, entity_by_word
from sqlsync.simulators.quickbooks.faults import Fault, GatewayFault
from sqlsync.simulators.quickbooks.values import encode
from sqlsync.simulators.quickbooks.webhooks import Event, classic, cloud_events, sign

SAMPLES = Path(__file__).parents[5] / "shared/reference/quickbooks/samples"
pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the reference's sample bodies are not on this machine"
)


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


def shape(value: Any) -> Any:
    """Kinds of value, with numbers alike and list elements joined."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "text"


def differences(made: Any, wanted: Any, path: str = "") -> list[str]:
    """Where a made body departs from a sample: kinds that differ, members nobody documented."""
    if isinstance(wanted, dict) and isinstance(made, dict):
        found = [f"{path}.{name} is not in the sample" for name in made if name not in wanted]
        for name in made.keys() & wanted.keys():
            found += differences(made[name], wanted[name], f"{path}.{name}")
        return found
    if isinstance(wanted, list) and isinstance(made, list):
        if not wanted or not made:
            return []
        return [
            text
            for element in made
            for text in min((differences(element, model, f"{path}[]") for model in wanted), key=len)
        ]
    return [] if shape(made) == shape(wanted) else [f"{path}: {shape(made)} not {shape(wanted)}"]


def body(world: Any, entity: str, record_id: str) -> Any:
    return json.loads(world.company.read(entity_by_word()[entity], record_id))


# What a written record may have beyond its sample, from the object reference.
MORE = {"Notes", "ParentRef", "Level", "CompanyName", "PurchaseDesc", "ExpenseAccountRef"}


# Of each entity a sample body; a second one where a list has two kinds of records.
SAMPLE_OF = {
    **{entity.resource: (entity.resource,) for entity in entities().values()},
    "term": ("term", "term_date_driven"),
    "item": ("item", "item_service"),
}
# None is in the reference pack.
UNSAMPLED = {"entitlements", "journalcode", "reimbursecharge", "taxclassification", "taxpayment"}


# Whose sample bodies are cut short: what else they hold is in the object reference.
CUT_SHORT = {
    *("attachable", "creditmemo", "estimate", "purchase", "recurringtransaction"),
    *("refundreceipt", "salesreceipt"),
}


def documented(entity: str) -> set[str]:
    """Names that a record of the entity may have at any depth, beyond its sample."""
    if entity not in CUT_SHORT:
        return MORE
    name = "invoice" if entity == "recurringtransaction" else entity
    found = entity_by_word()[name]
    fields = [*found.fields, *(path for rows in found.rows.values() for path in rows)]
    return MORE | {name for path in fields for name in path}


def test_only_entities_without_a_sample_are_left_out() -> None:
    missing = {e for e in SAMPLE_OF if not (SAMPLES / f"{SAMPLE_OF[e][0]}.json").exists()}
    assert missing == UNSAMPLED


@pytest.mark.parametrize("entity", sorted(set(SAMPLE_OF) - UNSAMPLED))
def test_generated_records_have_the_samples_shape(make_world: Any, entity: str) -> None:
    world = make_world(customers=100, invoices=300)
    samples = [sample(name) for name in SAMPLE_OF[entity]]
    (wrapper,) = (key for key in samples[0] if key != "time")
    table, more = world.books.table(entity_by_word()[entity].name), documented(entity)
    assert table.ids
    for number in table.ids[:60]:
        found = body(world, entity, str(number))
        assert list(found) == [wrapper, "time"]
        wrong = [
            [
                text
                for text in differences(found, wanted)
                if not any(text.endswith(f".{name} is not in the sample") for name in more)
                and "LinkedTxn" not in text
            ]
            for wanted in samples
        ]
        assert min(wrong, key=len) == []
        always = {"domain", "sparse", "Id", "SyncToken", "MetaData"}
        record = found[wrapper]["Invoice"] if entity == "recurringtransaction" else found[wrapper]
        assert always - set(record) == ({"Id"} if entity == "exchangerate" else set())


def test_generated_invoices_and_payments_miss_nothing_of_the_sample(make_world: Any) -> None:
    world = make_world(customers=100, invoices=300)
    for entity, wrapper in (("invoice", "Invoice"), ("payment", "Payment")):
        wanted = set(sample(entity)[wrapper])
        for number in world.books.table(wrapper).ids[:20]:
            assert wanted - set(body(world, entity, str(number))[wrapper]) == set()


def test_written_invoice_has_the_samples_shape(world: Any) -> None:
    customer = world.customer(
        PrimaryEmailAddr={"Address": "mara@example.com"},
        BillAddr={"Line1": "410 Harbor Street", "City": "Oakvale"},
        ShipAddr={"Line1": "410 Harbor Street", "City": "Oakvale"},
    )
    memo = {"value": "Thank you"}
    invoice = world.invoice(customer, 10, SalesTermRef={"value": "3"}, CustomerMemo=memo)
    wanted = sample("invoice")
    found = body(world, "invoice", invoice["Id"])
    assert differences(found, wanted) == []
    assert set(wanted["Invoice"]) - set(found["Invoice"]) == set()


def test_voided_and_deleted_invoices_have_the_samples_shape(world: Any) -> None:
    invoice = world.invoice(world.customer())
    key = {"Id": invoice["Id"], "SyncToken": "0"}
    world.write("Invoice", "void", **key)
    voided = body(world, "invoice", invoice["Id"])
    assert differences(voided, sample("invoice_voided")) == []
    assert voided["Invoice"]["PrivateNote"] == sample("invoice_voided")["Invoice"]["PrivateNote"]
    gone = world.write("Invoice", "delete", Id=invoice["Id"], SyncToken="1")
    assert shape(gone) == shape(sample("invoice_deleted")["Invoice"])


FAULTS: list[tuple[str, Any]] = [
    (
        "fault_400_2010_unsupported_property",
        lambda w: w.write("Customer", DisplayName="A", Colour="red"),
    ),
    ("fault_400_2020_required_missing", lambda w: w.write("Invoice", CustomerRef={"value": "1"})),
    ("fault_400_2030_invalid_id", lambda w: w.read("Customer", "abc")),
    (
        "fault_400_2050_too_long",
        lambda w: w.invoice({"Id": "1"}, DocNumber="x" * 33),
    ),
    ("fault_400_2500_invalid_ref", lambda w: w.invoice({"Id": "99999"})),
    ("fault_400_4000_query_parse", lambda w: w.query("select * FORM Customer")),
    (
        "fault_400_4001_query_validation",
        lambda w: w.query("select * from Customer where Colour = '1'"),
    ),
    (
        "fault_400_5010_stale_object",
        lambda w: w.write("Customer", Id="1", SyncToken="9", sparse=True),
    ),
    ("fault_400_610_not_found", lambda w: w.read("Customer", "999")),
    ("fault_400_6240_duplicate_name", lambda w: w.customer("Acme Corp")),
]


@pytest.mark.parametrize(("name", "act"), FAULTS, ids=[name for name, _ in FAULTS])
def test_refusals_read_exactly_as_the_sample(world: Any, name: str, act: Any) -> None:
    with pytest.raises(Fault) as caught:
        act(world)
    made = json.loads(encode(caught.value.envelope(world.clock.now())))
    assert made == sample(name)


def test_refusals_with_numbers_of_their_own_read_as_the_sample(world: Any) -> None:
    now = world.clock.now()
    made: list[tuple[str, Fault | GatewayFault]] = [
        ("fault_400_6140_duplicate_docnum", faults.duplicate_number("1048", "Invoice", 145)),
        ("fault_400_610_deleted_txn", faults.deleted_elsewhere()),
        ("fault_400_6070_amount", faults.wrong_amount("100.0")),
        ("fault_400_6190_subscription", faults.subscription_ended()),
        ("fault_400_6210_period_closed", faults.period_closed("6210")),
        ("fault_400_500_unsupported_operation", faults.unsupported("Something")),
        (
            "fault_400_6000_business_validation",
            faults.business("You must set a transaction amount."),
        ),
        ("fault_500_10000_system", faults.system_failure()),
        ("fault_401_3200_token_expired", faults.token_expired()),
        ("fault_403_3100_wrong_company", faults.wrong_company()),
        ("fault_429_3001_throttled", faults.throttled()),
    ]
    for name, fault in made:
        assert json.loads(encode(fault.envelope(now))) == sample(name), name


def test_change_data_and_query_answers_have_the_samples_shape(world: Any) -> None:
    customer = world.customer()
    kept, gone = world.invoice(customer), world.invoice(customer)
    world.later()
    world.write("Invoice", "delete", Id=gone["Id"], SyncToken="0")
    since = world.clock.now().isoformat()
    answer = json.loads(world.company.cdc("Customer,Invoice,Vendor", "2026-03-02T09:15:00-08:00"))
    wanted = sample("cdc_with_deletion")
    customers, invoices, vendors = answer["CDCResponse"][0]["QueryResponse"]
    assert vendors == {}
    assert set(invoices) == {"Invoice", "startPosition", "maxResults", "totalCount"}
    tombstone = wanted["CDCResponse"][0]["QueryResponse"][1]["Invoice"][-1]
    assert shape(invoices["Invoice"][-1]) == shape(tombstone)
    assert [i["Id"] for i in invoices["Invoice"]] == [kept["Id"], gone["Id"]]
    assert customers["Customer"][-1]["Id"] == customer["Id"]
    empty = json.loads(world.company.cdc("Vendor", since))
    assert shape(empty) == shape(sample("cdc_empty"))
    assert json.loads(world.company.query("select count(*) from Customer")).keys() == (
        sample("query_count").keys()
    )


def test_batch_answer_has_the_samples_shape(world: Any) -> None:
    request = sample("batch_request")
    answer = json.loads(world.company.batch(request))
    assert [set(item) for item in answer["BatchItemResponse"]] == [
        {"bId", "Customer"},
        {"bId", "Fault"},
        {"bId", "Fault"},
        {"bId", "QueryResponse"},
    ]


def test_signature_is_that_of_the_reference_vector() -> None:
    vector = sample("webhook_signature_vector")
    signature = sign(vector["body"].encode(), vector["verifier_token"])
    assert signature == vector["intuit-signature"]


def test_notifications_have_the_samples_shape() -> None:
    events = [
        Event("9341450000000001", "Invoice", "145", "Update", 1772471740),
        Event("9341450000000001", "Invoice", "147", "Void", 1772471740),
    ]
    made = json.loads(cloud_events(events))
    wanted = sample("webhook_cloudevents")
    assert shape(made[0]) == shape(wanted[0])
    assert [event["type"] for event in made] == [wanted[0]["type"], wanted[2]["type"]]
    assert made[0]["time"] == wanted[0]["time"]
    old = json.loads(classic(events[:1]))
    entity = sample("webhook_classic")["eventNotifications"][0]["dataChangeEvent"]["entities"][0]
    assert old["eventNotifications"][0]["dataChangeEvent"]["entities"] == [entity]


def test_each_entity_announces_what_the_reference_lists_and_no_more() -> None:
    listed = {"Create": "C", "Update": "U", "Delete": "D", "Merge": "M", "Void": "V"}
    listed["Emailed"] = "E"
    found = yaml.load((SAMPLES.parent / "objects.yaml").read_text(), yaml.CSafeLoader)
    for name, wanted in found["objects"].items():
        letters = {listed[word] for word in wanted.get("webhook_operations") or ()}
        assert set(WEBHOOKS.get("ExchangeRate" if name == "Exchangerate" else name, "")) == letters
