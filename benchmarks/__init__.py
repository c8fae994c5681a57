"""One question per file, a seeded corpus, peers side by side. See README.md."""
