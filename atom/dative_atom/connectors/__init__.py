"""What a connector author writes; the systems themselves get a folder each."""
