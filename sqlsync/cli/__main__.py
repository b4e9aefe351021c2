from __future__ import annotations

from sqlsync.cli import main

if __name__ == "__main__":
    main()
