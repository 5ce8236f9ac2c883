"""Datasets out, in the layouts that other programs read: one module per layout, each with `write(dataset, folder)`."""
