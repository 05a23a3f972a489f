"""The StableDiffusionBenchmark as types, and the schema generated from them. Pure."""
