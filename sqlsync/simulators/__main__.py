"""`python -m sqlsync.simulators`: the simulated services without the rest of the house."""

from __future__ import annotations

import argparse
import sys

from sqlsync.errors import ConfigError
from sqlsync.simulators.quickbooks import control
from sqlsync.simulators.run import CUSTOMERS, INVOICES, SEED, run_simulators


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sqlsync.simulators",
        description="A simulated QuickBooks Online company over HTTP.",
        epilog=control.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quickbooks", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--customers", type=int, default=CUSTOMERS, metavar="N")
    parser.add_argument("--invoices", type=int, default=INVOICES, metavar="N")
    parser.add_argument("--seed", type=int, default=SEED, metavar="S")
    parser.add_argument("--realm-id", metavar="ID")
    parser.add_argument("--refresh-token", metavar="T")
    parser.add_argument("--webhook-url", metavar="URL")
    parser.add_argument("--webhook-verifier-token", metavar="TOKEN")
    parser.add_argument("--auto-approve", action="store_true", help="consent without asking")
    given = vars(parser.parse_args())
    try:
        run_simulators(**given)
    except (ConfigError, OSError, ValueError) as error:
        sys.stderr.write(f"simulate: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
