"""Entry points -> Catalog: finds the components of all installed plugins."""
