"""Ways to compare that papers propose, for evaluation only; a run does not use them."""
