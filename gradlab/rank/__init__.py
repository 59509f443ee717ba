"""What `gradlab rank` does: completions in, judged preference pairs out."""
