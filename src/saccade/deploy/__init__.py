"""Deployment of runs: export, benchmark of the exports, server and client."""
