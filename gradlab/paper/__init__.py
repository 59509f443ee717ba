"""Tables for papers from the results of a command."""
