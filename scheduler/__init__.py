"""The application: what was asked, what was answered, and what happens next. Never loads a network."""
