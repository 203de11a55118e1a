"""Entry points -> Catalog: the components of the installed plugins."""
