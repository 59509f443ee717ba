"""One script per figure: redraws a study's figures from its table alone."""
