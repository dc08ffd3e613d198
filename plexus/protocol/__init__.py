"""The wire contract, without I/O: both ends of every exchange, as values and state machines.

Messages and the time go in; events, messages to send and the next deadline come out. Nothing here opens a
socket, reads a clock or starts a thread, so a device and a gateway can be paired in memory and driven step by step.
"""
