"""What is sent in `bench_floods`, and stores that are full when it begins."""
