"""What the author of a plugin reads: one file for each kind of component, and the types that they share."""
