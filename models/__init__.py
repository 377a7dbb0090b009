"""Where weights come from: released models with their cards, and the recipes that made them."""
