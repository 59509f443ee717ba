"""Many losses on the same scored pairs: tables, figures, the command `compare`."""
