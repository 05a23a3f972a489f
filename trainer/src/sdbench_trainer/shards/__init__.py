"""Builds shards from photographs and checks them: what `sdbench-trainer shards` does.

source (folder, table, tars, Parquet) ──► parts of up to PART_ITEMS ──► workers ──► MDS ──► one index

items      what is found in a source, by reference           folders, tables, tars, parquets   the kinds of source
encoders   from a photograph to a sample: JPEG or latents    parts     one part, written by one worker
building   resumption, order, the merged index               checking  every sample read again
description   what the index says of the samples
"""
