"""The commands that are no module's own: settings apart from what carries them out."""
