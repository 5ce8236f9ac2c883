"""From examples to weights: preparation kept on disk, patches by step number, one loop, states to go on from."""
