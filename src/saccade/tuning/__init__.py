"""Better settings for a recipe: trials on validation images, then the winner and the recipe as it is side by side."""
