"""Networks as pure functions of a plain parameter pytree."""
