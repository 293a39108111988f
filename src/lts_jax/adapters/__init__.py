"""Other people's frameworks, one folder each, imported only where asked for."""
