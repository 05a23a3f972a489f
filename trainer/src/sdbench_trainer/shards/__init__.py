"""Implements `sdbench-trainer shards`: builds MDS shards from photographs, and checks that shards are intact.

source (folder, table, tars, Parquet) ──► parts of up to PART_ITEMS ──► workers ──► MDS ──► one index

sources    detects a source's format; folders, tars and parquets read the formats
items      references to the photographs of a source, and how to read them
encoders   turn a photograph into a sample: a JPEG or latents
parts      one part, which one worker writes
building   runs the parts, resumes an interrupted build, merges the index
checking   reads every sample again
cli, commands, progress, workers   the command line and its processes
"""
