"""The cameras of a run: registry, batching and load shedding, embedding schedule, live changes, region of interest,
camera motion."""
