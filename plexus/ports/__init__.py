"""What the inside asks of the outside: one Protocol a file, written as its consumer needs it.

`ports/X.py` is answered by `adapters/X/*.py`, tested by the contract in `plexus.testing.contracts.X`.
"""
