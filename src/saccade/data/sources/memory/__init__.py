"""Images in memory as data: arrays, Pillow's images, contents of files, data frames and Hugging Face's data sets."""
