"""Network architectures, one family a file, all of stock Keras layers."""
