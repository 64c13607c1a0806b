"""Where images and labels come from: class folders, archives, arrays, CIFAR-10, digits."""
