"""What the language models are told: one Markdown file per role and turn, and what fills them in."""
