"""Benchmarks: what was promised, measured and printed beside the limit of each; nothing here fails."""
