"""The service beside its limits: `python -m tools.bench`, described in docs/performance.md.

A *limit* is what the machine gives at best for the same bytes: a ZeroMQ echo, a flush, a bare
journal. A *measure* runs contenders in rounds, in turn, and gives *findings*: ratios of what was
measured in the same round, each with a target where there is one.
"""
