"""What every command starts from: models, pairs and their scores, the output folder."""
