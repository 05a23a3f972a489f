"""What do the Grafana dashboards show, and how is that written in Grafana's JSON?"""
