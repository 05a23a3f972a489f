"""Provides the training data: MDS shards or synthetic images, decoded, cropped and tokenized."""
