"""Many training runs: a grid of settings, in one folder."""
