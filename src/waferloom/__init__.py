"""Plan, simulate and execute large language models on wafer-scale chips."""
