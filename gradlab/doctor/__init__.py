"""What `gradlab doctor` looks at: the installation, and a model with its data."""
