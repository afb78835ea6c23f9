"""What a study found: figures, tables and a report, from finished records only."""
