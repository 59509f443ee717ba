"""Pages that are made while the site is built, from docstrings and tables."""
