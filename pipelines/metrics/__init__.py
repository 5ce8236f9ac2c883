"""How good a prediction is: one metric per file, units in names."""
