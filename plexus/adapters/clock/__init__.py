"""The machine's clock, a corrected one, and one that tests move by hand."""
