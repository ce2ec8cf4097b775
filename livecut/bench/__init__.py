"""Benchmarks: cases, their measurement, the machine, the report, the comparison."""
