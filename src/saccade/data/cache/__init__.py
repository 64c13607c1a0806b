"""Disk cache of decoded and unpacked data."""
