import pytest
pytestmark = pytest.mark.timeout(500)
import psycopg, json
from psycopg.types.json import Json
from decimal import Decimal
from acceptance.every_table import House

def test_x(house: House):
    q, x = house.quickbooks, house.xero
    class L(list):
        def append(self, v):
            with open("/tmp/probe.txt","a") as f: f.write(repr(v)[:400]+"\n")
    out = L()
    import os
    if os.path.exists("/tmp/probe.txt"): os.remove("/tmp/probe.txt")
    with psycopg.connect(house.url, autocommit=True) as c:
        def tryit(label, sql, *params, binary=False):
            try:
                r = c.execute(sql, params or None, binary=binary).fetchall()
                out.append((label, "OK", r))
                return r
            except psycopg.Error as e:
                out.append((label, e.sqlstate, e.diag.message_primary, e.diag.message_hint, e.diag.column_name))
        # numeric
        item = c.execute("select min(id) from quickbooks.item where type='Service'").fetchone()[0]
        for v in ["1.005","12345678901234567890.12345","99999999999999999999999","-0","-0.00","1e-30","NaN","Infinity","-Infinity","0."+"1"*40,"1e300", "9"*200, "1e20000","1."+"0"*500+"1"]:
            tryit(("item text", v[:40]), "update quickbooks.item set unit_price = %s::text::numeric where id = %s returning unit_price", v, item)
            h = q.record("Item", item); out.append(("   held", str(h.get("UnitPrice"))[:80]))
        tryit("float8 0.1 bin", "update quickbooks.item set unit_price = %b where id = %s returning unit_price", 0.1, item)
        tryit("float8 1e22 bin", "update quickbooks.item set unit_price = %b where id = %s returning unit_price", 1e22, item)
        tryit("numeric bin", "update quickbooks.item set unit_price = %b where id = %s returning unit_price", Decimal("123456.7891"), item)
        tryit("float nan bin", "update quickbooks.item set unit_price = %b where id = %s returning unit_price", float("nan"), item)
        out.append(("held", q.record("Item", item).get("UnitPrice")))
        # invoices
        def line(a, **d): return [{"DetailType":"SalesItemLineDetail","Amount":a,"SalesItemLineDetail":{"ItemRef":{"value":item}, **d}}]
        def ins(label, lines):
            r = tryit(label, "insert into quickbooks.invoice (customer_id, line) values ('1', %s) returning id, total_amt, line->0->'Amount', line->0->'SalesItemLineDetail'", json.dumps(lines) if not isinstance(lines,str) else lines)
        ins("amount 1.005", line(1.005)); ins("1.004", line(1.004)); ins("qty 3dec", line(3.34, Qty=1.111, UnitPrice=3.004))
        ins("qty mismatch", line(3.00, Qty=1.111, UnitPrice=3.004))
        ins("huge amount", '[{"DetailType":"SalesItemLineDetail","Amount":123456789012345678.99,"SalesItemLineDetail":{"ItemRef":{"value":"%s"}}}]'%item)
        ins("neg amount", line(-5))
        ins("amount str", line("12.50"))
        ins("dup keys", '[{"DetailType":"SalesItemLineDetail","Amount":1,"Amount":2,"SalesItemLineDetail":{"ItemRef":{"value":"%s"}}}]'%item)
        ins("surrogate", '[{"DetailType":"SalesItemLineDetail","Amount":1,"Description":"\\ud800","SalesItemLineDetail":{"ItemRef":{"value":"%s"}}}]'%item)
        ins("nul", '[{"DetailType":"SalesItemLineDetail","Amount":1,"Description":"a\\u0000","SalesItemLineDetail":{"ItemRef":{"value":"%s"}}}]'%item)
        ins("pair", '[{"DetailType":"SalesItemLineDetail","Amount":1,"Description":"\\ud83d\\ude00 \\/ \\\\ \\"","SalesItemLineDetail":{"ItemRef":{"value":"%s"}}}]'%item)
        ins("1e400", '[{"DetailType":"SalesItemLineDetail","Amount":1e400,"SalesItemLineDetail":{"ItemRef":{"value":"%s"}}}]'%item)
        ins("1e2 amount", '[{"DetailType":"SalesItemLineDetail","Amount":1e2,"SalesItemLineDetail":{"ItemRef":{"value":"%s"}}}]'%item)
        ins("bool amount", '[{"DetailType":"SalesItemLineDetail","Amount":true,"SalesItemLineDetail":{"ItemRef":{"value":"%s"}}}]'%item)
        inv = c.execute("select max(id::int)::text from quickbooks.invoice").fetchone()[0]
        for d in ["2026-02-28","infinity","-infinity","0044-03-15 BC","10000-01-01","0001-01-01","9999-12-31","294276-12-31"]:
            tryit(("date",d), "update quickbooks.invoice set txn_date = %s::text::date where id=%s returning txn_date::text", d, inv)
            out.append(("   held", q.record("Invoice", inv).get("TxnDate")))
        for b in ["t","false","on"]:
            tryit(("bool",b), "update quickbooks.invoice set allow_online_payment = %s::text::boolean where id=%s returning allow_online_payment", b, inv)
        cust="2"
        for t in ["", " ", "  padded  ", "tab\tnew\nline\r\n", "\x01\x7f", "é\u0301", "\u00a0nbsp", "𝔘😀\U0010ffff\uffff\ufffe", "' \" \\ \\N $$ %s {}", "<b>&amp;</b>", "\u2028", "x"*4001, "‮rtl"]:
            tryit(("text",t[:20]), "update quickbooks.customer set notes = %s where id=%s returning notes", t, cust)
            held=q.record("Customer", cust).get("Notes"); out.append(("   held same", held == t, repr(held)[:40]))
            tryit(("text bin",t[:20]), "update quickbooks.customer set notes = %b where id=%s returning notes", t+"!", cust)
        tryit("null notes","update quickbooks.customer set notes = null where id=%s returning notes", cust)
        tryit("name empty","update quickbooks.customer set display_name = '' where id=%s returning display_name", cust)
        tryit("name null","update quickbooks.customer set display_name = null where id=%s returning display_name", cust)
        tryit("name spaces","update quickbooks.customer set display_name = '  Odd  name ' where id=%s returning display_name", cust)
        tryit("ins empty", "insert into quickbooks.customer (display_name, notes, email) values ('Empties','','') returning notes, email")
        tryit("colon name","update quickbooks.customer set display_name = 'a:b' where id=%s returning display_name", cust)
        ta = c.execute("select min(id) from quickbooks.time_activity").fetchone()[0]
        for t in ["2026-03-02 09:15:40.123456+05:45","infinity","0044-03-15 BC","2026-03-02 09:15:40-15:59:59","294276-12-31 00:00+00"]:
            tryit(("ts",t), "insert into quickbooks.time_activity (name_of, employee_id, start_time, end_time) values ('Employee','1', %s::text::timestamptz, %s::text::timestamptz + '1 hour') returning start_time::text, end_time::text, hours, id", t, t)
        # xero
        con = c.execute("select min(id) from xero.contact where contact_status='ACTIVE'").fetchone()[0]
        def xins(label, **l):
            ll = {"Description":"a","Quantity":1,"UnitAmount":1,"AccountCode":"200", **l}
            tryit(("xero",label), "insert into xero.invoice (type, contact_id, line_items) values ('ACCREC', %s, %s) returning total, line_items->0->'Quantity', line_items->0->'UnitAmount', line_items->0->'LineAmount'", con, psycopg.types.json.Json(ll and [ll], dumps=lambda v: json.dumps(v)))
        xins("unit 5 dec", UnitAmount=1.23456); xins("unit 4", UnitAmount=1.2345); xins("qty 5", Quantity=1.23456); xins("lineamount 3", LineAmount=1.005, Quantity=1, UnitAmount=1.005)
        xins("disc", DiscountRate=3.33333); xins("huge", UnitAmount=10**15); xins("1e30", UnitAmount=1e30); xins("neg", UnitAmount=-5)
        xins("taxamount 3 dec", TaxAmount=0.1234)
        it = c.execute("select min(id) from xero.item").fetchone()[0]
        for v in ["1.00005","1.2345","NaN","Infinity","99999999999999999999","-0"]:
            tryit(("xitem",v),"update xero.item set sales_details_unit_price=%s::text::numeric where id=%s returning sales_details_unit_price", v, it)
        for t in ["", " ", "  padded  ", "tab\tnew\nline", "\x01", "𝔘😀\U0010ffff", "<b>&amp;</b>"]:
            tryit(("xtext",t), "update xero.contact set first_name=%s where id=%s returning first_name", t, con)
        for d in ["infinity","0044-03-15 BC","10000-01-01","0001-01-01","9999-12-31"]:
            tryit(("xdate",d), "insert into xero.invoice (type, contact_id, date, line_items) values ('ACCREC', %s, %s::text::date, '[{\"Description\":\"a\"}]') returning date::text", con, d)
        tryit("pay", "insert into xero.payment (invoice_id, account_id, amount, date) select (select id from xero.invoice where status='AUTHORISED' and type='ACCREC' and amount_due>2 limit 1), (select id from xero.account where code='090'), 1.005, '2026-11-20' returning amount")
    for o in out: print(o)
    assert 0
