"""From bytes to pixels: the only decoder, and the processes in which it runs."""
