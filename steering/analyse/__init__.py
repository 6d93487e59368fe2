"""From scores and attention to statistics, tables and figures."""
