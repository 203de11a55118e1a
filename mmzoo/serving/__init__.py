"""Task -> SavedModel: signatures, the gallery that is searched, export, and predictions of the exported model."""
