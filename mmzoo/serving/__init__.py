"""Task -> SavedModel: signatures, the gallery that is searched, export, and asking what was exported."""
