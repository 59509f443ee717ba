"""Which pairs and tokens one step of each loss moves: the command `drift`."""
