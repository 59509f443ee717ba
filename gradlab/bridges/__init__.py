"""Runs of other trainers, read and followed with the tables of this library."""
