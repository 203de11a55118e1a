"""Plan -> Task: encoders -> fusion -> head -> loss, on one device or several."""
