"""What a run stores so that it can be replayed without detector, engine and pictures."""
