# ruff: noqa: ISC004, E501
"""Query through the proxy and directly on a twin: every message, every row, every status.

Each line is a string a client sends by itself, and how many calls the provider must see. Where
Postgres reports an error that number is 0: nothing may be written elsewhere before.
"""

from __future__ import annotations

import pytest
from integration.proxy.conftest import since
from integration.proxy.twins import Q, Twins

V = "insert into vendor (display_name"

ONE = [
    # the plain forms
    ("insert into vendor (display_name) values ('Dell')", 1),
    ("insert into vendor (display_name, phone) values ('Dell', default), ('Echo', '5')", 1),
    ("insert into vendor (display_name) values ('Dell'), ('Echo') returning id, display_name", 1),
    ("insert into books.vendor as v (display_name) values ('Dell') returning v.display_name", 1),
    ("insert into vendor (display_name) select name from item order by 1 returning display_name", 1),
    ("insert into vendor (display_name) select name from item where false returning id", 0),
    ("update vendor set phone = '9' where id = '1'", 1),
    ("update vendor set phone = '9' where id = '1' returning phone", 1),
    ("update vendor set phone = phone || '0' returning id, phone, active, balance", 1),
    ("update vendor set phone = '9' where display_name = 'nobody'", 0),
    ("update vendor set phone = '9' where display_name = 'nobody' returning *", 0),
    ("update vendor set phone = phone where id = '1' returning phone, display_name", None),
    ("delete from vendor where id = '1'", 1),
    ("delete from vendor where id = '1' returning *", 1),
    ("delete from vendor where false returning *", 0),
    ("  update vendor set phone = '9' where id = '1' ;  ", 1),
    ("update vendor set phone = '9' where id = '1' -- why", 1),
    ("update vendor set phone = '9' where id = '1' returning phone -- why", 1),
    ("/* a */ update vendor /* b */ set phone = '9' where id = '1' returning phone /* c */;", 1),
    ("UPDATE Vendor SET Phone = E'\\u00e9\\n' WHERE id = $$1$$ returning phone", 1),
    ("update vendor set phone = 'é €' where display_name = 'Acme' returning phone, 'ü'", 1),
    # expressions of RETURNING
    ("update vendor set amount = amount * 2 returning id, amount, doubled, amount + 1 as more", 1),
    ("update vendor set phone = 'x' where id = '1' returning vendor.*", 1),
    ("update vendor set phone = 'x' where id = '1' returning *", 1),
    ("update vendor v set phone = 'x' where id = '1' returning v.*, 1 as one", 1),
    ("update vendor v set phone = 'x' where id = '1' returning v", 1),
    ("update vendor set phone = 'x' where id = '1' returning (select count(*) from vendor)", 1),
    ("update vendor set phone = 'x' where id = '1' returning tableoid::regclass, xmax = 0", 1),
    ("insert into vendor (display_name) values ('Dell') returning xmax = 0 as made, phone", 1),
    ("update vendor set phone = shout('x') where id = '1' returning phone", 1),
    ("update vendor set phone = 'x' where id = '1' returning shout('y')", 1),
    ("update vendor set phone = 'x' where id = '1' returning place, (place).city, tags[1]", 1),
    ("update vendor set ratio = 0.1::float8 + 0.2 where id = '1' returning ratio", 1),
    ("update vendor set phone = 'x' where id = '1' returning 1 as \"__key\"", 1),
    # casts on assignment, defaults, generated columns, identity, checks, keys
    (V + ", code) values ('Dell', '123456')", 0),
    (V + ", code) values ('Dell', '12345  ') returning code || '|'", 1),
    (V + ", amount) values ('Dell', 12.345) returning amount, doubled", 1),
    (V + ", amount) values ('Dell', 12345.6)", 0),
    (V + ", amount) values ('Dell', -1)", 0),
    (V + ", mood) values ('Dell', 'sad') returning mood", 1),
    (V + ", mood) values ('Dell', 'angry')", 0),
    (V + ", short) values ('Dell', 'abcd') returning short", 1),
    (V + ", short) values ('Dell', 'bad')", 0),
    (V + ", short) values ('Dell', 'abcde')", 0),
    (V + ", tags) values ('Dell', '{x,\"y z\"}') returning tags, tags[2]", 1),
    (V + ", place) values ('Dell', row('Road', 'Bonn')) returning (place).city", 1),
    (V + ", doubled) values ('Dell', 3)", 0),
    (V + ", doubled) values ('Dell', default) returning doubled", 1),
    (V + ", note) values ('Dell', null)", 0),
    (V + ") values ('Acme')", 0),
    (V + ", active) values ('Dell', 1)", 0),
    (V + ") values ('Dell', 'more')", 0),
    (V + ", nothing) values ('Dell', 'more')", 0),
    (V + ", amount) values ('Dell', 'x')", 0),
    (V + ", amount) values ('Dell', 1/0)", 0),
    ("insert into vendor values (default, 'x')", None),
    ("insert into vendor default values returning display_name, amount, note", 1),
    ("update vendor set amount = default, note = default returning amount, note", 1),
    ("update vendor set tags[2] = 'z', place.city = 'Rom' where id = '1' returning tags, place", 1),
    ("update vendor set (phone, active) = (select name, false from item where name = 'Pen')", 1),
    ("update vendor set (phone, active) = (select name, false from item where false)", 1),
    ("update vendor set (phone, active) = (select name, false from item)", 0),
    ("update vendor set doubled = 1", 0),
    ("update vendor set id = '2' where id = '1'", 0),
    ("update vendor set display_name = 'Beta' where id = '1'", 0),
    ("update vendor set amount = amount / (amount - 2)", 0),
    ("update vendor set late = 'same' where id in ('1', '2')", None),  # fails at COMMIT
    ("update vendor set late = id", 1),
    (V + ", note) values ('skipped', 'a'), ('Dell', 'trim') returning display_name, note", 1),
    (V + ") values ('skipped') returning id", 0),
    # ON CONFLICT
    (V + ", phone) values ('Fern', '9'), ('Acme', '1') on conflict (display_name) do update"
     " set phone = vendor.phone || '/' || excluded.phone returning display_name, phone", 1),
    (V + ") values ('Acme'), ('Dell') on conflict (display_name) do nothing returning phone", 1),
    (V + ") values ('Dell') on conflict do nothing", 0),  # a deferrable key is no arbiter
    (V + ") values ('Acme') on conflict do nothing returning display_name", 0),
    (V + ") values ('Acme') on conflict (display_name) do nothing", 0),
    (V + ") values ('Acme') on conflict (phone) do nothing", 0),
    (V + ") values ('Dell'), ('Dell') on conflict (display_name) do update set phone = '1'", 0),
    (V + ", phone) values ('Acme', '7') on conflict (display_name) do update set phone ="
     " excluded.phone where vendor.active is false returning id", 0),
    (V + ") values ('Acme') on conflict on constraint vendor_pkey do nothing", 0),
    ("insert into vendor (id, display_name, phone) values ('1', 'Acme', '7') on conflict (id)"
     " do update set phone = excluded.phone returning id, phone", 1),
    # FROM, USING, sub-selects, MERGE
    ("update vendor v set phone = i.name from item i where i.id = '21' and v.id = '1'"
     " returning v.id, i.name", 1),
    ("update vendor v set phone = i.name from item i where i.id = '21' and v.id = '1'"
     " returning v.phone, i.*", 1),
    ("update vendor v set phone = i.name from item i where i.id = '21' and v.id = '1'"
     " returning *", 1),
    ("update vendor v set phone = i.name from item i where i.id = '21' and v.id = '1'"
     " returning v.phone || i.name as both", 1),
    ("update vendor set phone = 'x' from item where item.id = vendor.phone returning item.id", 0),
    ("delete from vendor using (select id, count(*) over () as n from item) z where z.n = 2"
     " and vendor.active and z.id = '21' returning vendor.id, z.n", 1),
    ("delete from vendor v using item i where i.name = v.display_name", 0),
    ("update vendor set phone = (select max(name) from item) where id in (select '1')", 1),
    ("merge into vendor v using item i on v.display_name = i.name when matched then delete"
     " when not matched and i.name = 'Pen' then insert (display_name) values (i.name)", 1),
    ("merge into vendor v using (values ('1', 'm')) d(id, p) on d.id = v.id"
     " when matched then update set phone = d.p", 1),
    ("merge into vendor v using item i on false when matched then do nothing", 0),
    ("with n as (select name from item) update vendor set phone = n.name from n where id = '1'"
     " and n.name = 'Ink' returning phone", 1),
    ("with n as (select 'q' as q) insert into vendor (display_name) select q from n returning"
     " display_name", 1),
    ("with recursive t(n) as (select 1 union all select n + 1 from t where n < 3)"
     " insert into vendor (display_name) select 'n' || n from t returning display_name", 1),
    # CTEs that write
    ("with w as (insert into vendor (display_name) values ('Dell'), ('Echo') returning id,"
     " display_name) select * from w", 1),
    ("with w as (update vendor set phone = '7' where id = '1' returning id, phone)"
     " insert into memo (body, vendor_id) select phone, id from w", 1),
    ("with w as (insert into vendor (display_name) select name from item returning id, display_name)"
     " insert into memo (body, vendor_id) select display_name, id from w order by 1 returning body", 1),
    ("with w as (delete from vendor where id = '1' returning display_name)"
     " insert into memo (body) select display_name from w", 1),
    ("with w as (delete from vendor where id = '1' returning *) select display_name, phone from w", 1),
    ("with w as (update vendor set phone = '7' where id = '1') select 1 as one", 1),
    ("with w as (update vendor set phone = '7' where id = 'none' returning 1) select count(*) from w", 0),
    ("with w as (update vendor set phone = '7' where false returning id)"
     " insert into memo (body) values ('always')", 0),
    ("insert into vendor (display_name, phone) select p0::varchar, p1::varchar from (values"
     " ('S1', '1', 0), ('S2', '2', 1)) as imp_sen(p0, p1, sen_counter) order by sen_counter"
     " returning vendor.id, vendor.id as id__1, vendor.display_name", 1),
    # views
    ("insert into active_vendor (display_name) values ('Dell')", None),
    ("update active_vendor set phone = '8' where id = '1' returning id, phone", 1),
    ("update active_vendor set phone = '8' where id = '3'", 0),
    ("update odd set shouted = 'LOUD' where id = '1'", 1),
    ("update nameless set phone = '8' where display_name = 'Acme'", 1),
    ("delete from active_vendor where id = '2'", 1),
    # errors of Postgres
    ("update vendor set", 0),
    ("update vendor set phone = '9' where nothing = 1", 0),
    ("update vendr set phone = '9'", 0),
    ("insert into vendor (display_name) values ($1)", 0),
    ("update vendor set phone = '9' returning nothing", 0),
    ("update vendor set active = 'perhaps'", 0),
    ("update vendor set phone = '\u00e9' || nothing where display_name = '€'", 0),
    ("update vendor set phone = '9' where id = '1'; selec", 0),
    # what is none of ours
    ("explain (costs off) update vendor set phone = '9' where id = '1'", 0),
    ("select * from vendor for update", 0),
    ("update plain set b = 'vendor' where a = 1", 0),
    ("insert into memo (body) select display_name from vendor order by 1 returning body", 0),
    ("", 0),
    (" ; -- vendor update\n", 0),
]  # fmt: skip


@since(18)
@pytest.mark.parametrize(
    "text",
    [
        "update vendor set phone = 'x' where id = '1' returning old.phone, new.phone",
        "delete from vendor where id = '2' returning old.phone, new.phone, display_name",
    ],
)
def test_old_and_new_rows_are_returned_as_by_postgres(twins: Twins, text: str) -> None:
    twins.compare(Q(text), calls=1)


@pytest.mark.parametrize(("text", "calls"), ONE, ids=[text[:70] for text, _ in ONE])
def test_one_statement_is_answered_as_by_postgres(
    twins: Twins, text: str, calls: int | None
) -> None:
    twins.compare(Q(text), calls=calls)
