"""The same decisions as in a cluster, carried out by processes on this machine."""
