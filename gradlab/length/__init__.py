"""How losses depend on the lengths of the pairs: the command `length`."""
