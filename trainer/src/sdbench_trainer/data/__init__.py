"""Reads what is trained on: MDS shards or synthetic images, decoded, cropped and tokenized."""
