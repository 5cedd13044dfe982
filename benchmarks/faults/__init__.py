"""What goes wrong in `bench_faults`."""
