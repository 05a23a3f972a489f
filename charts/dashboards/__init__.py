"""Builds the chart's Grafana dashboards in Grafana's JSON."""
