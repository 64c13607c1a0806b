"""Run directories: this package alone reads and writes them."""
