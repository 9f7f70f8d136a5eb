"""Benchmarks: whole processes, beside references that are measured in the same run. `make bench` runs them all."""
