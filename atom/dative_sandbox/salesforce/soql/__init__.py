"""SOQL: text to tokens (lexer), to a tree (parser), checked against the schema and run over records (evaluate)."""
