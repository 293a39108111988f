"""An OpenAI-compatible endpoint that misbehaves on purpose, to rehearse what real ones do."""
