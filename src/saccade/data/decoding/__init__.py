"""Image decoder and its worker processes."""
