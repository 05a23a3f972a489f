"""Builds images, and loads them into the node's containerd."""
