"""Plan -> Task: encoders -> fusion -> head -> losses as one Keras model; its training step, on one device or several."""
