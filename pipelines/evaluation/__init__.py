"""How good predictions are against a reference: figures with intervals, tests between two models, a report."""
