"""One file per family of questions: its facts, the pages that state them, its wordings and its answers."""
