"""What our steps cost, as ratios to floors measured in the same run (docs/benchmarks.md)."""
