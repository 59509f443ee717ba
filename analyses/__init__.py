"""Studies: one file, one table, one figure script of the same name."""
