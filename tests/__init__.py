"""The tests. A package, because another one of this name may be installed: torch-fidelity, a peer of the benchmarks, brings one."""
