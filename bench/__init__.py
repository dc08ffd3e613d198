"""Benchmarks anyone can run: `make bench`. Each figure stands beside its peer, measured in the same run."""
