"""Refusals: one exception, a table of texts, and the two shapes of body. Pure.

The data service answers `{"Fault":{"Error":[…],"type"},"time"}`; the gateway before it
(401, 403, 429) answers in lower case, with many null siblings and the time in milliseconds.
Source: Intuit, "Error codes"; bodies as quoted in public issue threads.
"""

from __future__ import annotations

from datetime import datetime

from sqlsync.simulators.quickbooks.values import Doc, envelope_time

MESSAGES: dict[str, str] = {
    "120": "Authorization Failure",
    "500": "Unsupported Operation",
    "610": "Object Not Found",
    "620": "TxnID Cannot Be Linked",
    "1050": "Invalid content type",
    "2000": "Invalid or unsupported object name",
    "2010": "Request has invalid or unsupported property",
    "2020": "Required param missing, need to supply the required value for the API",
    "2030": "Invalid ID",
    "2040": "Invalid String",
    "2050": "String length is either shorter or longer than supported by specification",
    "2060": "Invalid Date Format",
    "2090": "Invalid Number",
    "2130": "Invalid Request Id Format",
    "2140": "Invalid Amount",
    "2150": "Invalid Percentage",
    "2160": "Invalid Quantity",
    "2170": "Invalid Enumeration",
    "2190": "Invalid Date Range",
    "2210": "Invalid Email Address format",
    "2220": "Invalid Currency Type",
    "2230": "Invalid Boolean",
    "2250": "Missing Lines",
    "2260": "Missing PostingType",
    "2290": "Negative Amount",
    "2300": "Amount on debits not equal to credits",
    "2500": "Invalid Reference Id",
    "3000": "Invalid Custom Field",
    "3001": "message=ThrottleExceeded; errorCode=003001; statusCode=429",
    "4000": "Error parsing query",
    "4001": "Invalid query",
    "4002": "Query processing error",
    "5010": "Stale Object Error",
    "5030": "Feature Not Supported",
    "6000": "A business validation error has occurred while processing your request",
    "6010": "AccountType or AccountSubType must be given",
    "6060": "Opening balance date is missing",
    "6070": "Amount calculation incorrect in the request",
    "6080": "No Name Provided",
    "6090": "Discount line incomplete",
    "6100": "Invalid Line TaxCode",
    "6140": "Duplicate Document Number Error",
    "6150": "ParentRef required",
    "6160": "Invalid TaxCodeRef",
    "6180": "Sub Level Limit",
    "6190": "Invalid Company Status",
    "6200": "Account Period Closed",
    "6210": "Account Period Closed",
    "6220": "Delete List Has Balance Error",
    "6240": "Duplicate Name Exists Error",
    "6270": "Invalid Inventory Transaction Date",
    "6310": "Missing Customer",
    "6420": "Email address is required",
    "6430": "Invalid account type used",
    "6440": "Transaction Detail Information Required",
    "6540": "Deposited Transaction cannot be changed",
    "10100": "Result set too large",
    "10000": "An application error has occurred while processing your request",
}

MADE_INACTIVE = (
    "Something you're trying to use has been made inactive. "
    "Check the fields with accounts, customers, items, vendors or employees."
)


class Fault(Exception):
    """The service understood a request and says no. Nothing was changed."""

    def __init__(
        self,
        code: str,
        detail: str,
        element: str = "",
        *,
        status: int = 400,
        type: str = "ValidationFault",
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.element = element
        self.status = status
        self.type = type

    def body(self) -> Doc:
        """The `Fault` object, as it also stands in a batch answer."""
        return {
            "Error": [
                {
                    "Message": MESSAGES[self.code],
                    "Detail": self.detail,
                    "code": self.code,
                    "element": self.element,
                }
            ],
            "type": self.type,
        }

    def envelope(self, now: datetime) -> Doc:
        return {"Fault": self.body(), "time": envelope_time(now)}


# -- the refusals whose words matter ---------------------------------------------------------


def not_found() -> Fault:
    return Fault("610", f"Object Not Found : {MADE_INACTIVE}")


def deleted_elsewhere() -> Fault:
    return Fault("610", "Object Not Found : Another user has deleted this transaction.")


def unknown_property(path: str, name: str, entity: str) -> Fault:
    return Fault(
        "2010",
        f'Property Name:Unrecognized field "{name}" (class com.intuit.schema.finance.v3.{entity}),'
        " not marked as ignorable specified is unsupported or invalid",
        path,
    )


def not_json() -> Fault:
    return Fault(
        "2010",
        "Property Name:failed to parse json object; a property specified is unsupported or invalid",
    )


def missing(name: str) -> Fault:
    return Fault("2020", f"Required parameter {name} is missing in the request", name)


def too_long(element: str, limit: int, length: int) -> Fault:
    return Fault(
        "2050",
        "String length specified does not match the supported length. "
        f"Min:0 Max:{limit} supported. Supplied length:{length}",
        element,
    )


def invalid_id(value: object) -> Fault:
    return Fault("2030", f"Id should be a valid number. Supplied value:{value}", "Id")


def bad_reference(element: str, table: str, value: object) -> Fault:
    if table in ("customer", "vendor", "employee"):
        what = f"Names element id {value} not found"
    else:
        what = MADE_INACTIVE
    return Fault("2500", f"Invalid Reference Id : {what}", element)


def stale(who: str) -> Fault:
    return Fault(
        "5010",
        f"Stale Object Error : You and {who} were working on this at the same time. "
        f"{who} finished before you did, so your work was not saved.",
    )


def business(text: str) -> Fault:
    return Fault("6000", f"Business Validation Error: {text}")


def opening_without_date(member: str) -> Fault:
    return Fault("6060", "An opening balance needs its date.", member)


def parent_required(member: str) -> Fault:
    return Fault("6150", f"ParentRef required : {member} is true and there is no parent", member)


def detail_required(member: str) -> Fault:
    return Fault("6440", f"Transaction Detail Information Required : {member}", member)


def wrong_amount(value: object) -> Fault:
    return Fault("6070", f"Amount is not equal to UnitPrice * Qty. Supplied value:{value}")


def cannot_be_linked() -> Fault:
    detail = "The linked transaction cannot be validated."
    return Fault("620", f"TxnID Cannot Be Linked : {detail}", "TxnId")


def deposited() -> Fault:
    return Fault(
        "6540",
        "This transaction has been deposited. If you want to change or delete it, you must first "
        "edit the deposit it appears on and remove it.",
    )


def feature_missing(entity: str) -> Fault:
    return Fault(
        "5030",
        f"Feature Not Supported : {entity} is not supported by this company's subscription or "
        "settings.",
    )


def duplicate_number(number: str, entity: str, record_id: int) -> Fault:
    return Fault(
        "6140",
        "Duplicate Document Number Error : You must specify a different number. This number has "
        f"already been used. DocNumber={number} is assigned to TxnType={entity} with "
        f"TxnId={record_id}",
    )


def duplicate_name(kind: str) -> Fault:
    """kind: "customer, vendor or employee", "account", "product or service"."""
    return Fault(
        "6240",
        f"The name supplied already exists. : Another {kind} is already using this name. "
        "Please use a different name.",
    )


def has_balance(kind: str) -> Fault:
    return Fault(
        "6220",
        "Delete List Has Balance Error : The entity you are trying to delete has an open balance. "
        f": This {kind} cannot be deleted because it has a non-zero balance",
    )


def period_closed(code: str) -> Fault:
    return Fault(
        code,
        "The account period has closed and the account books cannot be updated through Data "
        "Services. Please check with your company account administrator.",
    )


def subscription_ended() -> Fault:
    return Fault(
        "6190",
        "Subscription period has ended or canceled or there was a billing problem : You can't add "
        "data to QuickBooks Online Plus because your trial or subscription period ended.",
    )


def unsupported(operation: str) -> Fault:
    return Fault("500", f"Operation {operation} is not supported.")


def throttled_item() -> Fault:
    """Inside a batch's answer, which itself is 200."""
    fault = throttled()
    return Fault("3001", str(fault.detail), type="SERVICE")


def too_many_objects(most: int) -> Fault:
    return Fault("10100", f"Result set too large: at most {most} objects fit into one answer.")


def system_failure() -> Fault:
    return Fault(
        "10000",
        "System Failure Error: Something unexpected went wrong. Please try again later.",
        status=500,
        type="SystemFault",
    )


# -- the gateway -------------------------------------------------------------------------------


class GatewayFault(Exception):
    """Refused before the data service: no valid token, wrong company, too many requests."""

    def __init__(self, status: int, code: str, name: str, detail: str | None, type: str) -> None:
        super().__init__(name)
        self.status = status
        self.code = code
        self.message = f"message={name}; errorCode={int(code):06d}; statusCode={status}"
        self.detail = detail
        self.type = type

    def envelope(self, now: datetime) -> Doc:
        return {
            "warnings": None,
            "intuitObject": None,
            "fault": {
                "error": [
                    {
                        "message": self.message,
                        "detail": self.detail,
                        "code": self.code,
                        "element": None,
                    }
                ],
                "type": self.type,
            },
            "report": None,
            "queryResponse": None,
            "batchItemResponse": [],
            "attachableResponse": [],
            "syncErrorResponse": None,
            "requestId": None,
            "time": int(now.timestamp() * 1000),
            "status": None,
            "cdcresponse": [],
        }


def token_expired(detail: str = "Token expired") -> GatewayFault:
    return GatewayFault(401, "3200", "AuthenticationFailed", detail, "AUTHENTICATION")


def wrong_company() -> GatewayFault:
    return GatewayFault(403, "3100", "ApplicationAuthorizationFailed", None, "SERVICE")


def throttled(status: int = 429) -> GatewayFault:
    detail = "The request limit was reached.  Try again later"
    return GatewayFault(status, "3001", "ThrottleExceeded", detail, "SERVICE")
