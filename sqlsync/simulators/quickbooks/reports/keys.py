"""The keys that columns of transactions are known by, and their titles. Pure data.

Source: Intuit, reference pages of the reports ("columns").
"""

from __future__ import annotations

TITLES = {
    "account_bal": "Balance",
    "account_desc": "Description",
    "account_name": "Account",
    "account_type": "Type",
    "acct_num_with_extn": "Account No",
    "bill_addr": "Billing Address",
    "chk_print_state": "Check Printed",
    "create_by": "Created By",
    "create_date": "Create Date",
    "credit_amt": "Credit",
    "credit_home_amt": "Credit",
    "currency": "Currency",
    "cust_bill_email": "Email",
    "cust_comp_name": "Company Name",
    "cust_msg": "Message",
    "cust_name": "Customer",
    "debt_amt": "Debit",
    "debt_home_amt": "Debit",
    "deliv_addr": "Delivery Address",
    "dept_name": "Location",
    "detail_acc_type": "Detail Type",
    "doc_num": "Num",
    "due_date": "Due Date",
    "emp_name": "Employee",
    "exch_rate": "Exchange Rate",
    "extra_doc_num": "Ref #",
    "inv_date": "Invoice Date",
    "is_adj": "Adj",
    "is_ap_paid": "A/P Paid",
    "is_ar_paid": "A/R Paid",
    "is_cleared": "Clr",
    "is_no_post": "Posting",
    "item_name": "Product/Service",
    "journal_code_name": "Journal Code",
    "klass_name": "Class",
    "last_mod_by": "Last Modified By",
    "last_mod_date": "Last Modified",
    "lettrage": "Lettrage",
    "memo": "Memo/Description",
    "name": "Name",
    "olb_status": "Online Banking",
    "other_account": "Split",
    "paid_date": "Paid Date",
    "past_due": "Past Due",
    "pmt_mthd": "Payment Method",
    "printed": "Print Status",
    "quantity": "Qty",
    "rate": "Rate",
    "sale_sent_state": "Sent",
    "sales_cust1": "Crew #",
    "ship_addr": "Shipping Address",
    "ship_date": "Ship Date",
    "ship_via": "Ship Via",
    "split_acc": "Split",
    "term_name": "Terms",
    "tracking_num": "Tracking No",
    "tx_date": "Date",
    "txn_num": "Txn No",
    "txn_type": "Transaction Type",
    "vend_bill_addr": "Billing Address",
    "vend_comp_name": "Company Name",
    "vend_name": "Vendor",
    "vend_pri_cont": "Main Contact",
    "vend_pri_email": "Email",
    "vend_pri_tel": "Phone",
}


def is_amount(key: str) -> bool:
    plain = key.removeprefix("subt_").removeprefix("rbal_")
    for prefix in ("nat_", "neg_", "foreign_", "home_"):
        plain = plain.replace(prefix, "")
    return plain in ("amount", "open_bal")


def is_known(key: str) -> bool:
    return key in TITLES or is_amount(key)


def is_running(key: str) -> bool:
    return is_amount(key) and "rbal_" in key


def title_of(key: str) -> str:
    if not is_amount(key):
        return TITLES[key]
    if is_running(key):
        return "Balance"
    return "Open Balance" if key.endswith("open_bal") else "Amount"
