"""Classification and visual question answering for mmzoo: the head `classify`, its losses and metrics."""
