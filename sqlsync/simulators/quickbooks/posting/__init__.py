"""Double entry: what each record of the books posts to which accounts.

`poster` says what one record posts, `stock` what goods that left cost, `daybook` goes through
all of it for a report, `standing` keeps what accounts and items stand at, `effects` marks them
changed by a write. Every transaction balances to the cent, in the home currency.
"""
