"""All that a browser receives: templates, styles, scripts, pictures. Imports nothing of ours; it is handed values."""
