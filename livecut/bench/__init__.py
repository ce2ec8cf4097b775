"""What `livecut bench` runs: cases, their measurement, the machine, the report, the comparison."""
