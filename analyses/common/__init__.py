"""What several studies stand on: arrays of pairs, short runs, rows, records."""
