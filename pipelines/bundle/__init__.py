"""MONAI bundles: out, with everything they need to run, and in, without running anything of theirs."""
