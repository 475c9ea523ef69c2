"""Our side of the benchmarks: the package's public functions, as a user calls them."""
