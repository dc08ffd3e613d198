"""Whole histories, however long: see `plan` for how no value is missed and none is there twice."""
