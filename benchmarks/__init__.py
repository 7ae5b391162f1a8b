"""Timings of the solvers. Run ``python -m benchmarks``; nothing here is asserted in tests."""
