"""What the service costs, measured: `python -m benchmarks`, or `./run bench`. How to read it: docs/performance.md."""
