"""One module a benchmark, each with measure(setting) -> report.Part."""
