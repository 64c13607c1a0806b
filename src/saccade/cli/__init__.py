"""Command line: one module for each command, which parses options, calls the public API and prints."""
