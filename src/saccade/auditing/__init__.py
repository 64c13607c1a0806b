"""What is wrong with data, before it costs accuracy."""
