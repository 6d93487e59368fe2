"""Vision encoders, connectors and language models, and the composed model that splices pictures into text."""
