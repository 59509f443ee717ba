"""The documentation: pages by hand, and what makes the rest of the site."""
