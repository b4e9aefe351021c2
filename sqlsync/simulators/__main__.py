"""`python -m sqlsync.simulators`: the simulated services without the rest of the house."""

from __future__ import annotations

import argparse
import sys

from sqlsync.errors import ConfigError
from sqlsync.simulators.quickbooks import control
from sqlsync.simulators.run import CUSTOMERS, INVOICES, SEED, run_simulators
from sqlsync.simulators.xero import control as xero_control


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sqlsync.simulators",
        description="A simulated QuickBooks Online company, a simulated Xero organisation, over "
        "HTTP. Without an address: QuickBooks on a free port.",
        epilog=f"QuickBooks: {control.__doc__}\nXero: {xero_control.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quickbooks", metavar="HOST:PORT")
    parser.add_argument("--xero", metavar="HOST:PORT")
    parser.add_argument("--customers", type=int, default=CUSTOMERS, metavar="N")
    parser.add_argument("--invoices", type=int, default=INVOICES, metavar="N")
    parser.add_argument("--seed", type=int, default=SEED, metavar="S")
    parser.add_argument("--realm-id", metavar="ID")
    parser.add_argument("--refresh-token", metavar="T")
    parser.add_argument("--webhook-url", metavar="URL")
    parser.add_argument("--webhook-verifier-token", metavar="TOKEN")
    parser.add_argument("--companies", type=int, default=1, metavar="N", help="of QuickBooks")
    parser.add_argument("--tenant-id", metavar="ID")
    parser.add_argument("--xero-refresh-token", metavar="T")
    parser.add_argument("--organisations", type=int, default=1, metavar="N", help="of Xero")
    parser.add_argument("--xero-webhook-url", metavar="URL")
    parser.add_argument("--xero-signing-key", metavar="KEY")
    parser.add_argument("--record", metavar="FILE", help="keeps each request, a JSON object a line")
    parser.add_argument("--auto-approve", action="store_true", help="consent without asking")
    given = vars(parser.parse_args())
    if given["quickbooks"] is None and given["xero"] is None:
        given["quickbooks"] = "127.0.0.1:0"
    try:
        run_simulators(**given)
    except (ConfigError, OSError, ValueError) as error:
        sys.stderr.write(f"simulate: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
