"""What reproduces the figures in the README: each beside its rival, in one run, as medians and ratios."""
