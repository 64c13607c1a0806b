"""Which images, labels, class names and splits; the one decoder. No TensorFlow in here."""
