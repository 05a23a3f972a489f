"""Defines the StableDiffusionBenchmark as types, and the schema that follows from them."""
