"""From unlabeled images to labels: features of images, and the search of similar images."""
