"""The review console: pages under /console, rendered here, and the chat widget."""
