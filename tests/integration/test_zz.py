import sys, asyncio, time; sys.path.insert(0,'/tmp/wt/xerosync/tests')
import logging, structlog; structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
from xero_world import *
async def test_a(migrated_url):
    async with world(migrated_url) as w, working(w), receiving(w):
        await w.settled()
        print(w.sim.status()['webhooks'])
        held = (await w.held("invoice")).items()
        invoice = next(i for i, r in held if b"ACCREC" in r and b'"Status":"AUTHORISED"' in r)
        t=time.time()
        w.sim.person("invoice", "update", InvoiceID=invoice, Reference="by webhook")
        for _ in range(60):
            await asyncio.sleep(0.1)
            r=await w.rows("select state, error, octet_length(body) from sqlsync.inbox")
            c=await w.rows(f"select noticed_by from xero._sync_change where record_id = '{invoice}'")
            if c: break
        print(time.time()-t, r, c, w.sim.status()['webhooks'], await w.rows("select last_poll_at, clock_timestamp() from xero._sync_cdc where object='invoice'"))
