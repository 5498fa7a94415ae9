"""What people run: the command, the client library, the terminal UI, the images, the benchmarks."""
