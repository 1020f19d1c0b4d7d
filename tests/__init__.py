"""The tests. A package, because another of this name may be installed: torch-fidelity, a peer of the benchmarks, has one."""
