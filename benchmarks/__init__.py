"""Side-by-side measurements: both sides in one run, interleaved, and their ratio."""
