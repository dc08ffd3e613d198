"""The whole protocol, simulated: the shipped device and gateway code under a fake clock, network and disk.

`python -m tests.simulation --seed N` replays one episode with a trace; `docs/explanation/simulation.md` says the rest.
"""
