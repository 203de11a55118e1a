"""Task, Data -> trained Run: backend, optimizer, `fit`, callbacks, checkpoints."""
