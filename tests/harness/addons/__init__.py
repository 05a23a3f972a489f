"""Installs what runs beside the operator: training-operator, Kueue, Prometheus and S3."""
